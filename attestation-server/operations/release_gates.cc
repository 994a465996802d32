#include "attestation-server/operations/release_gates.h"

#include <algorithm>

#include "attestation-server/operations/devices.h"
#include "attestation-server/store/floors.h"
#include "attestation-server/store/policies.h"
#include "attestation-server/store/references.h"
#include "attestation-server/store/rollouts.h"
#include "ota/metadata/release.h"
#include "policies/decision/canonical.h"

namespace sallyport::server {
namespace {

struct Gate {
  enum class Answer : uint8_t { kPass, kFail, kOpen };
  std::string_view name;
  Answer answer;
  std::string need, have;
};

constexpr std::string_view NameOf(Gate::Answer answer) {
  switch (answer) {
    case Gate::Answer::kPass: return "pass";
    case Gate::Answer::kFail: return "fail";
    case Gate::Answer::kOpen: return "open";
  }
  std::abort();
}

Gate Decide(std::string_view name, bool pass, std::string need, std::string have) {
  return {name, pass ? Gate::Answer::kPass : Gate::Answer::kFail, std::move(need), std::move(have)};
}

// Named is a release that was published here, read again from the bytes that were signed.
struct Named {
  ReleaseRow row;
  ota::Release release;
  std::string Title() const { return row.product + " " + row.version; }
};

Result<Named> Read(const std::optional<ReleaseRow>& row, std::string_view name) {
  if (!row)
    return Error{Reason::kNotFound, "no release '" + std::string(name) + "' is published here",
                 "release.unknown"};
  SP_TRY(ota::Release release, ota::ParseRelease(AsBytes(row->json)));
  return Named{*row, std::move(release)};
}

Result<Named> FindNamed(Connection& connection, std::string_view name) {
  if (const Result<Bytes> hex = HexDecode(name); hex && hex->size() == ReleaseDigest::kSize) {
    SP_TRY(const ReleaseDigest digest, ReleaseDigest::FromView(*hex));
    SP_TRY(const auto row, FindRelease(connection, digest));
    return Read(row, name);
  }
  const std::string text(name);
  const bool path = text.starts_with("releases/");
  SP_TRY(const auto row,
         FindReleaseByPath(connection, path ? text : "releases/" + text + "/release.json"));
  return Read(row, name);
}

// Question is all that the gates look at.
struct Question {
  DeviceRecord device;
  Named wanted;
  std::optional<Named> running;  // that the device proved to run
  std::optional<RolloutDeviceRow> assignment;
  std::optional<RolloutRow> rollout;   // of the assignment
  std::optional<std::string> open_as;  // role in which the release's values are open for it
  std::optional<PolicyRow> policy;
  UnixTime now;
  std::optional<FloorsRow> floors;  // that its TPM certified
};

Result<std::optional<std::string>> OpenRole(Connection& connection, const DeviceRecord& device,
                                            const ReleaseDigest& release) {
  SP_TRY(const std::vector<JudgedReference> rows,
         References(connection).ForDevice(device.id, device.placement.device_class));
  for (const JudgedReference& judged : rows)
    if (judged.role && judged.row.release == release)
      return std::optional(std::string(TextOf(*judged.role)));
  return std::optional<std::string>();
}

Result<Question> Ask(Connection& connection, std::string_view device, std::string_view release,
                     UnixTime now) {
  SP_TRY(DeviceRecord record, FindDevice(connection, device));
  SP_TRY(Named wanted, FindNamed(connection, release));
  Question out{std::move(record), std::move(wanted), {}, {}, {}, {}, {}, now, {}};
  if (out.device.running_release) {
    SP_TRY(const auto row, FindRelease(connection, *out.device.running_release));
    if (row) {
      SP_TRY(out.running, Read(row, ""));
    }
  }
  SP_TRY(out.assignment, FindAssignment(connection, out.device.id));
  if (out.assignment) {
    SP_TRY(out.rollout, Rollouts(connection).Find(out.assignment->rollout));
  }
  SP_TRY(out.open_as, OpenRole(connection, out.device, out.wanted.row.digest));
  SP_TRY(out.policy, Policies(connection).InForce());
  SP_TRY(out.floors, FindFloors(connection, out.device.id));
  return out;
}

std::string Join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

Gate StateGate(const Question& q) {
  std::string have(TextOf(q.device.state));
  if (q.device.state == DeviceState::kQuarantined) have += " (" + JoinCauses(q.device.causes) + ")";
  return Decide("quarantine", q.device.state == DeviceState::kActive, "active", std::move(have));
}

Gate PostureGate(const Question& q) {
  const Posture posture = PostureAt(q.device, q.now);
  std::string have(TextOf(posture));
  if (!q.device.reason.empty()) have += " (" + q.device.reason + ")";
  return Decide("posture", posture == Posture::kPassing, "passing", std::move(have));
}

// What a device runs was made for its hardware, or it would not have taken it.
Gate HardwareGate(const Question& q) {
  const std::vector<std::string>& takes = q.wanted.release.hardware;
  if (!q.running)
    return {"hardware", Gate::Answer::kOpen, Join(takes), "known to the device alone"};
  const std::vector<std::string>& runs = q.running->release.hardware;
  const auto taken = [&takes](const std::string& id) {
    return std::ranges::find(takes, id) != takes.end();
  };
  const std::string have = "one of " + Join(runs) + " (runs " + q.running->Title() + ")";
  if (std::ranges::all_of(runs, taken)) return Decide("hardware", true, Join(takes), have);
  if (std::ranges::none_of(runs, taken)) return Decide("hardware", false, Join(takes), have);
  return {"hardware", Gate::Answer::kOpen, Join(takes), have};
}

Gate MinimumVersionGate(const Question& q) {
  const std::string need = "at least " + q.wanted.release.min_version.text();
  if (!q.running) return {"min-version", Gate::Answer::kOpen, need, "known to the device alone"};
  return Decide("min-version", q.running->release.version >= q.wanted.release.min_version, need,
                q.running->Title());
}

// CertifiedFloor is nothing for a device whose floors are not whole, or were never shown.
std::optional<uint64_t> CertifiedFloor(const Question& q) {
  if (!q.floors || !q.floors->finding.empty()) return std::nullopt;
  const uint64_t floor = q.floors->floors[static_cast<size_t>(pki::FloorCounter::kRollbackIndex)];
  // It may have been raised since the boot that certified it, by the release that runs.
  const bool raised = q.running && q.running->release.security_floor;
  return raised ? std::max(floor, q.running->release.rollback_index) : floor;
}

// A committed release with a security floor has raised the device's floor to its own index.
Gate RollbackGate(const Question& q) {
  const std::string have = "index " + std::to_string(q.wanted.release.rollback_index);
  if (const std::optional<uint64_t> certified = CertifiedFloor(q))
    return Decide("rollback", q.wanted.release.rollback_index >= *certified,
                  "index of at least " + std::to_string(*certified) + ", certified by its TPM",
                  have);
  if (!q.running) return {"rollback", Gate::Answer::kOpen, "not below the device's floor", have};
  const uint64_t floor = q.running->release.rollback_index;
  const std::string need = "index of at least " + std::to_string(floor);
  if (q.wanted.release.rollback_index >= floor) return Decide("rollback", true, need, have);
  if (q.running->release.security_floor) return Decide("rollback", false, need, have);
  return {"rollback", Gate::Answer::kOpen, need + " if that was ever a floor", have};
}

Gate PublishedGate(const Question& q) {
  return Decide("published", !q.wanted.row.withdrawn, "signed by targets",
                q.wanted.row.withdrawn ? "withdrawn" : "published");
}

Gate RolloutGate(const Question& q) {
  const std::string need = "assigned by a rollout";
  if (!q.assignment || !q.rollout) return Decide("rollout", false, need, "in no rollout");
  const std::string have =
      "rollout " + q.rollout->name + " (" + std::string(TextOf(q.rollout->state)) + ")";
  if (q.rollout->release != q.wanted.row.digest)
    return Decide("rollout", false, need, have + " assigns another release");
  return Decide("rollout", true, need, have + ", " + std::string(TextOf(q.assignment->state)));
}

bool HasFailedAt(const Question& q) {
  return q.assignment && q.rollout && q.rollout->release == q.wanted.row.digest &&
         HasFailed(*q.assignment);
}

// What the device itself reported of its last attempt at this release.
std::optional<Gate> TrialGate(const Question& q) {
  if (!HasFailedAt(q)) return std::nullopt;
  std::string have(TextOf(q.assignment->state));
  if (!q.assignment->gate.empty()) have += " at gate " + q.assignment->gate;
  if (!q.assignment->detail.empty()) have += ": " + q.assignment->detail;
  return Decide("trial", false, "no failed attempt", std::move(have));
}

Gate ReferenceGate(const Question& q) {
  return Decide("reference-values", q.open_as.has_value(), "open for this device",
                q.open_as ? "open as " + *q.open_as : "closed");
}

// A device whose policy has run out reaches nobody, whatever it runs.
Result<Gate> PolicyGate(const Question& q) {
  if (!q.policy) return Decide("policy", true, "valid, if there is one", "none in force");
  SP_TRY(const policy::PolicyManifest manifest, policy::ParsePolicyManifest(q.policy->manifest));
  return Decide(
      "policy", manifest.not_before <= q.now && q.now < manifest.expires, "valid, if there is one",
      "version " + std::to_string(q.policy->version) + " until " + FormatRfc3339(manifest.expires));
}

Result<std::vector<Gate>> GatesOf(const Question& q) {
  std::vector<Gate> gates{StateGate(q),    PostureGate(q),   HardwareGate(q), MinimumVersionGate(q),
                          RollbackGate(q), PublishedGate(q), RolloutGate(q),  ReferenceGate(q)};
  if (std::optional<Gate> trial = TrialGate(q)) gates.push_back(*std::move(trial));
  SP_TRY(Gate policy, PolicyGate(q));
  gates.push_back(std::move(policy));
  return gates;
}

std::string_view AnswerOf(const std::vector<Gate>& gates) {
  const auto any = [&gates](Gate::Answer answer) {
    return std::ranges::find(gates, answer, &Gate::answer) != gates.end();
  };
  if (any(Gate::Answer::kFail)) return "no";
  return any(Gate::Answer::kOpen) ? "open" : "yes";
}

}  // namespace

Result<JsonValue> ExplainRelease(Database& database, std::string_view device,
                                 std::string_view release, UnixTime now) {
  SP_TRY(Snapshot snapshot, database.Read());
  SP_TRY(const Question question, Ask(snapshot.connection(), device, release, now));
  SP_TRY(const std::vector<Gate> gates, GatesOf(question));
  std::vector<JsonValue> shown;
  for (const Gate& gate : gates)
    shown.push_back(JsonValue::Object({{"gate", gate.name},
                                       {"result", NameOf(gate.answer)},
                                       {"need", gate.need},
                                       {"have", gate.have}}));
  return JsonValue::Object(
      {{"device", question.device.name},
       {"release", question.wanted.Title()},
       {"release_digest", HexEncode(question.wanted.row.digest)},
       {"answer", AnswerOf(gates)},
       {"running", question.running ? JsonValue(question.running->Title()) : JsonValue()},
       {"gates", JsonValue::Array(std::move(shown))},
       {"log", HasFailedAt(question) ? question.assignment->log_tail : ""}});
}

}  // namespace sallyport::server
