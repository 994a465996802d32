// FakeMachine: what stands around an update driver in tests: programs that answer what the test
// says, time that is sure, and files in memory.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "device-client/update/update_driver.h"
#include "policies/language/zone_files.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::device {

// FakeCommandRunner succeeds unless the test says otherwise, by program or address.
class FakeCommandRunner final : public CommandRunner {
 public:
  Result<CommandResult> Run(const Command& command) override {
    ran.push_back(command);
    const auto found = answers.find(command.argv.front());
    if (found == answers.end()) return CommandResult{};
    return found->second;
  }
  Result<Unit> Connect(const std::string& address, Duration) override {
    connected.push_back(address);
    if (!refusing.contains(address)) return Unit{};
    return Error{Reason::kUnavailable, address + ": refused", "command.connect"};
  }
  void Fail(const std::string& program, const std::string& output = "") {
    answers.insert_or_assign(program, CommandResult{1, output});
  }
  void Succeed(const std::string& program) { answers.erase(program); }
  // Programs lists what ran, in order.
  std::vector<std::string> Programs() const {
    std::vector<std::string> out;
    for (const Command& command : ran) out.push_back(command.argv.front());
    return out;
  }

  std::map<std::string, Result<CommandResult>> answers;
  std::set<std::string> refusing;
  std::vector<Command> ran;
  std::vector<std::string> connected;
};

// UTC and local are known, and named zones are not.
inline Result<policy::ZoneRule> FakeZones(std::string_view name) {
  if (name == "local") return policy::ZoneRule::Parse("CET-1CEST,M3.5.0,M10.5.0/3");
  return Error{Reason::kNotFound, "no such zone", "zone.unknown"};
}

class FakeMachine {
 public:
  explicit FakeMachine(TrialSettings settings = {}, const std::string& watchdog = "")
      : watchdog_(watchdog) {
    files.ListOnlyWhatWasMade();
    Configure(std::move(settings));
  }
  // Configure is a new agent process with another configuration.
  void Configure(TrialSettings settings) {
    checks_.emplace(MachineParts{files, runner, clock, [this] { return time(); }, FakeZones},
                    std::move(settings), "state");
  }
  TrustedTime::Reading time() const { return {clock.Wall(), time_sure, time_floor}; }
  UpdateDriverParts Parts(ota::Installer& installer, ota::PayloadSource& source, Rebooter& rebooter,
                          ReportFunction report) {
    return {installer,
            source,
            rebooter,
            clock,
            *checks_,
            notes,
            watchdog_,
            [this] { return time(); },
            std::move(report),
            [this] { return alive; },
            [this] {
              ++asked_alone;
              return alone;
            },
            [this] { return cancelled && cancelled(); }};
  }
  void Inhibit(const std::string& who, const std::string& why) {
    SP_CHECK(WriteFileAtomically(files, "state/inhibit/" + who, AsBytes(why)).has_value());
  }
  MachineChecks& checks() { return *checks_; }

  FakeClock clock{UnixTime::FromSeconds(1'800'000'000)};  // Friday, 2027-01-15T08:00:00Z
  bool time_sure = true;
  UnixTime time_floor;  // what earlier boots learnt
  bool alive = true;
  Result<Unit> alone = Unit{};  // whether this boot may be kept without a server
  int asked_alone = 0;
  std::function<bool()> cancelled;
  MemoryFileSystem files;
  FakeCommandRunner runner;
  TrialNotes notes{files, "state/trial.json"};

 private:
  Watchdog watchdog_;
  std::optional<MachineChecks> checks_;
};

// HearHealthy hears all that the rest of the agent can say for the release on trial.
inline void HearHealthy(UpdateDriver& driver, const ReleaseDigest& release) {
  const HealthState passed{HealthAnswer::kPassed, ""};
  driver.Hear({HealthCheck::kAgent, passed, {}});
  driver.Hear({HealthCheck::kStream, passed, {}});
  driver.Hear({HealthCheck::kAttestation, passed, release});
  driver.Hear({HealthCheck::kCertificate, passed, {}});
}

inline void HearRefused(UpdateDriver& driver) {
  driver.Hear(
      {HealthCheck::kAttestation, {HealthAnswer::kFailed, "the server refused this boot"}, {}});
}

}  // namespace sallyport::device
