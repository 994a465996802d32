// MachineChecks asks the machine around the agent what an update must know of it: units and probes,
// inhibitors, windows, the node's work, and runs the owner's hooks.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "device-client/agent/trusted_time.h"
#include "device-client/update/command.h"
#include "device-client/update/health_gate.h"
#include "device-client/update/reboot_gate.h"
#include "device-client/update/update_settings.h"
#include "pki/base/file_system.h"

namespace sallyport::device {

// UpdateSubject is what programs are told in their environment: SALLYPORT_RELEASE (digest),
// SALLYPORT_VERSION (empty when unknown), SALLYPORT_SLOT (A or B), SALLYPORT_INSTALL_BY (RFC 3339,
// empty when there is none).
struct UpdateSubject {
  std::string release;
  std::string version;
  std::string slot;
  std::optional<UnixTime> install_by = {};  // the release's signed security deadline
};

enum class Hook : uint8_t { kBeforeInstall, kBeforeReboot, kAfterCommit, kAfterRollback };
// HookName is the key of the configuration with hyphens, and the gate of an update report.
std::string_view HookName(Hook hook);

struct MachineParts {
  FileSystem& files;
  CommandRunner& runner;
  const Clock& clock;
  std::function<TrustedTime::Reading()> time;
  policy::ZoneLookup zones;  // knows `local` too: LocalZones
};

// LocalZones adds `local`, the zone of /etc/localtime, to the system's zones. Borrows `files`.
policy::ZoneLookup LocalZones(FileSystem& files);

// The rule of RunHook for a hook that was ended with the agent: it has not answered.
inline constexpr std::string_view kHookStopped = "command.stopped";

// How often units, probes and the drain command are asked again.
inline constexpr Duration kAskEvery = Seconds(5);

// One thread at a time, but for Inhibitors and the windows, which are thread-safe.
class MachineChecks {
 public:
  // `state` is the agent's directory.
  MachineChecks(MachineParts parts, TrialSettings settings, std::string state);

  const TrialSettings& settings() const { return settings_; }

  // Look asks one unit or runs one probe, when one is due, and says in `facts` how units and probes
  // stand: passed when each passed when it was last asked.
  void Look(const UpdateSubject& subject, HealthFacts& facts);
  // Past the deadline of `subject` hooks run, and what they say holds nothing up.
  // MayInstall: window, before-install.
  GateDecision MayInstall(const UpdateSubject& subject);
  // MayGoOn: the window of an installation that has begun.
  GateDecision MayGoOn(const UpdateSubject& subject) const;
  // MayReboot: see JudgeReboot, then before-reboot. `takes` is how much of the window must be left.
  GateDecision MayReboot(const UpdateSubject& subject, Duration takes);
  // RunHook: kUnavailable, update.hook, when one of its programs did not end with status 0 in time,
  // or kHookStopped; the ones after it did not run.
  Result<Unit> RunHook(Hook hook, const UpdateSubject& subject);
  // PreviousLog: see previous_log.h.
  std::string PreviousLog();

  // Inhibitors are the files in `<state>/inhibit` and the configured directory. A directory that
  // cannot be read inhibits by itself.
  std::vector<Inhibitor> Inhibitors() const;
  // InstallWindow and RebootWindow: whether they are open now.
  GateDecision InstallWindow() const;
  GateDecision RebootWindow(Duration takes) const;

 private:
  struct Probe {
    HealthCheck check;
    std::string name;
    Command command;
    std::string tcp;
    HealthState state;
  };
  void MakeProbes();
  void Run(Probe& probe, const UpdateSubject& subject);
  HealthState Summary(HealthCheck check) const;
  Drain LookAtWork(const UpdateSubject& subject, Deadline deadline);
  GateDecision JudgeReboot(const UpdateSubject& subject, Duration takes, Deadline deadline);
  GateDecision AskHook(Hook hook, const UpdateSubject& subject, Deadline deadline);
  std::vector<std::string> ProgramsOf(const std::string& hook) const;

  MachineParts parts_;
  const TrialSettings settings_;
  const std::string state_;
  const UpdateWindow install_window_;
  const UpdateWindow reboot_window_;
  std::vector<Probe> probes_;
  size_t next_probe_ = 0;
  Duration next_round_;                 // boot clock
  std::optional<Duration> draining_;    // since; boot clock
  Duration next_drain_look_;            // boot clock
  std::optional<Duration> hook_again_;  // a hook said no; boot clock
  std::string hook_detail_;
};

}  // namespace sallyport::device
