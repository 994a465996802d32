#include "device-client/install_command.h"

#include <algorithm>
#include <filesystem>

#include "device-client/state_lock.h"
#include "ota/install/update_state.h"

namespace sallyport::device {
namespace {

constexpr size_t kIdBytes = 16;

bool IsOneOf(std::string_view state, std::initializer_list<ota::UpdateState> states) {
  return std::ranges::any_of(
      states, [state](ota::UpdateState one) { return state == ota::StateName(one); });
}

bool Ended(const InstallAnswer& answer) {
  return answer.error || Succeeded(answer) ||
         IsOneOf(answer.state, {ota::UpdateState::kFailed, ota::UpdateState::kRolledBack});
}

bool Differs(const InstallAnswer& a, const InstallAnswer& b) {
  return a.state != b.state || a.percent != b.percent || a.detail != b.detail;
}

Result<std::string> Ask(const InstallParts& parts, const Config& config,
                        const InstallOptions& options) {
  SP_TRY(const auto waiting, LoadRequest(parts.files, config.state));
  if (waiting)
    return Error{Reason::kConflict, "another installation is being asked for", "bundle.busy"};
  Bytes id(kIdBytes);
  parts.random.Fill(id);
  InstallRequest request{HexEncode(id), std::filesystem::absolute(options.folder).string(),
                         options.role};
  SP_TRY(SaveRequest(parts.files, config.state, request));
  return request.id;
}

// Follower looks for the answer to one request.
class Follower {
 public:
  Follower(const InstallParts& parts, const Config& config, std::string id)
      : parts_(parts), config_(config), id_(std::move(id)) {}

  Result<InstallAnswer> Follow() {
    while (true) {
      SP_TRY(const auto answer, LoadAnswer(parts_.files, config_.state));
      const bool ours = answer && answer->id == id_;
      if (ours && (!last_ || Differs(*answer, *last_))) {
        last_ = answer;
        if (parts_.progress) parts_.progress(*answer);
      }
      if (ours && Ended(*answer)) return *answer;
      if (const Result<Unit> going = CheckAgent(); !going) {
        // Nobody shall find a request later that nobody waits for any more.
        if (!last_) static_cast<void>(RemoveRequest(parts_.files, config_.state).has_value());
        return going.error();
      }
      parts_.pause();
      waited_ = Duration{waited_.ms + kLookPause.ms};
    }
  }

 private:
  Result<Unit> CheckAgent() {
    Result<Unit> held = StateLock::CheckHeld(config_.state);
    absent_ = held ? Duration{} : Duration{absent_.ms + kLookPause.ms};
    if (!last_ && waited_ >= kAnswerWait)
      return Error{Reason::kUnavailable, "the agent does not answer", "bundle.unanswered"};
    if (held || absent_ < kAgentWait) return Ok();
    return Error{Reason::kUnavailable, "the agent has ended: what it took, it goes on with",
                 "agent.not-running"};
  }

  const InstallParts& parts_;
  const Config& config_;
  const std::string id_;
  std::optional<InstallAnswer> last_;
  Duration waited_;
  Duration absent_;
};

std::string Sentence(const InstallAnswer& answer) {
  const std::string what = answer.product + " " + answer.version + " of bundle " + answer.role +
                           " " + std::to_string(answer.serial);
  const std::string why = answer.detail.empty() ? "" : " (" + answer.detail + ")";
  if (!Succeeded(answer)) return what + ": " + answer.state + why;
  if (IsOneOf(answer.state, {ota::UpdateState::kCommitted})) return what + ": runs" + why;
  return what + ": installed; the machine reboots into it, and keeps it once " +
         (answer.commits_locally ? "the server, or its own health after the trial,"
                                 : "the server") +
         " has judged the boot";
}

}  // namespace

bool Succeeded(const InstallAnswer& answer) {
  return !answer.error && IsOneOf(answer.state, {ota::UpdateState::kArmed, ota::UpdateState::kTrial,
                                                 ota::UpdateState::kCommitted});
}

Result<InstallAnswer> FollowInstall(const InstallParts& parts, const Config& config,
                                    const InstallOptions& options) {
  if (config.update.slot_a.empty())
    return Error{Reason::kInvalidArgument, "the configuration names no slots: `update`",
                 "update.not-configured"};
  SP_TRY(StateLock::CheckHeld(config.state));
  SP_TRY(std::string id, Ask(parts, config, options));
  return Follower(parts, config, std::move(id)).Follow();
}

std::string DescribeInstall(const InstallAnswer& answer, bool json) {
  if (!json) return Sentence(answer);
  return WriteJson(JsonValue::Object({{"product", answer.product},
                                      {"version", answer.version},
                                      {"release", HexEncode(answer.release)},
                                      {"role", answer.role},
                                      {"serial", answer.serial},
                                      {"commit", answer.commits_locally ? "local" : "server"},
                                      {"state", answer.state},
                                      {"percent", uint64_t{answer.percent}},
                                      {"gate", answer.gate},
                                      {"detail", answer.detail}}));
}

}  // namespace sallyport::device
