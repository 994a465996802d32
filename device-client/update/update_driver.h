// UpdateDriver: brings this machine to the release it was assigned: installs, waits for its moment,
// reboots, has the new boot prove itself, commits or goes back. It decides nothing that the tables
// of ota/install and of health_gate.h do not say.
#pragma once

#include <functional>
#include <optional>

#include "device-client/agent/evidence.h"
#include "device-client/update/health_gate.h"
#include "device-client/update/machine_checks.h"
#include "device-client/update/trial_notes.h"
#include "device-client/update/watchdog.h"
#include "ota/install/installer.h"
#include "pki/base/time.h"

namespace sallyport::device {

// An agent that ends again and again would otherwise begin its trial anew for ever.
inline constexpr unsigned kTrialStartsMax = 5;

// A slot that was given up is left by a reboot. One may be lost with the agent that asked for it;
// firmware that goes on choosing that slot must not be fought for ever.
inline constexpr unsigned kLeavesMax = 2;

// Rebooter asks the machine to reboot; it returns at once.
class Rebooter {
 public:
  virtual ~Rebooter() = default;
  virtual Result<Unit> Reboot() = 0;
};

// ReportFunction hears of every state and, while writing, of every percent. `gate` of a report says
// what holds an update up or ended it: a check of the health gate, commit, or one of install,
// install-window, install-time (it waits for it), before-install, inhibited, time, window, drain,
// before-reboot, boot, cancelled, fallback, degraded; empty when nothing does.
using ReportFunction = std::function<void(const UpdateReport&)>;

// What the driver waits for after a call.
enum class UpdateStep : uint8_t {
  kSettled,    // an assignment
  kWaiting,    // the moment to reboot
  kTrial,      // the health gate
  kRebooting,  // nothing more in this boot
};

// HealthNews is one check's answer from elsewhere in the agent.
struct HealthNews {
  HealthCheck check;
  HealthState state;
  std::optional<ReleaseDigest> release;  // kAttestation: what the certificate says was booted
};

// UpdateDriverParts are borrowed. `cancelled` says that the plan at hand is no longer wanted; null:
// never. `alive` says that the rest of the agent goes on; null: always. `alone` says whether this
// boot is good enough to be kept without a server's word, once all else has passed; null: never.
struct UpdateDriverParts {
  ota::Installer& installer;
  ota::PayloadSource& source;
  Rebooter& rebooter;
  const Clock& clock;
  MachineChecks& checks;
  TrialNotes& notes;
  Watchdog& watchdog;
  std::function<TrustedTime::Reading()> time;
  ReportFunction report;
  std::function<bool()> alive;
  std::function<Result<Unit>()> alone;
  std::function<bool()> cancelled;
};

// One thread at a time.
class UpdateDriver {
 public:
  explicit UpdateDriver(UpdateDriverParts parts) : parts_(std::move(parts)) {}

  UpdateStep step() const { return step_; }
  // on_fallback: the slot that an update fell back to has not proven itself yet.
  [[nodiscard]] bool on_fallback() const { return fallback_ends_.has_value(); }
  // Boot judges this boot; call it first. Errors of the record and the firmware.
  Result<UpdateStep> Boot();
  // Assign installs the release of `plan` and begins to wait for the moment to reboot. During a
  // trial and after a reboot was asked for it only remembers the plan. Errors of
  // Installer::Install; kUnavailable with update.postponed (a gate is closed, also while it was
  // being installed) or update.cancelled; try again when ota::MayPass. In the slot that an update
  // fell back to, nothing is installed before that slot has proven itself, unless somebody brought
  // it.
  Result<UpdateStep> Assign(const ota::InstallPlan& plan);
  // Withdraw calls off the update to `release` that was not rebooted into yet.
  Result<UpdateStep> Withdraw(const ReleaseDigest& release);
  // Hear takes a fact of this boot for the health gate; Tick acts on it.
  void Hear(const HealthNews& news);
  // Tick looks at what the step waits for: call it at least every second.
  Result<UpdateStep> Tick();

 private:
  Result<UpdateStep> BeginTrial();
  // WatchFallback begins the health gate of the slot that an update fell back to.
  void WatchFallback();
  Result<UpdateStep> TickFallback();
  Result<Unit> Degrade(const HealthVerdict& verdict);
  Result<Unit> Recover();
  Result<UpdateStep> TickTrial();
  Result<UpdateStep> Commit();
  Result<UpdateStep> CommitAlone();
  // EndCommit is what follows `committed`.
  [[nodiscard]] bool MayRetry(const Error& commit);
  Result<UpdateStep> EndCommit(const Result<Unit>& committed, std::string detail);
  ota::LocalCommit MayCommitAlone(const ota::UpdateRecord& record) const;
  Result<UpdateStep> TickWaiting();
  Result<UpdateStep> Arm(std::string detail);
  Result<UpdateStep> CallOff();
  Result<UpdateStep> Reboot();
  Result<UpdateStep> RollBack(std::string_view gate, std::string detail, bool reboot);
  Result<Unit> CheckFallback(const ota::InstallPlan& plan);
  Result<Unit> CheckBeforeInstall(const ota::InstallPlan& plan);
  UpdateSubject SubjectOf(const ota::InstallPlan& plan, ota::Slot running) const;
  // Postpone reports, once, which gate holds the plan up.
  Error Postpone(const ota::InstallPlan& plan, const GateDecision& gate);
  Result<UpdateStep> Install(const ota::InstallPlan& plan);
  bool IsNews(const ota::InstallPlan& plan);
  bool Cancelled() const { return parts_.cancelled && parts_.cancelled(); }
  UpdateSubject Subject();
  // InstallBy is the deadline of `release` while it is the plan at hand.
  std::optional<UnixTime> InstallBy(const ReleaseDigest& release) const;
  void NoteRelease(const ReleaseDigest& release);
  void NoteCommit();
  // RunDueHook runs after-commit or after-rollback, again at the next start of the agent when it
  // was ended with the agent.
  void RunDueHook();
  Result<UpdateStep> LeaveGivenUpSlot();
  Result<UpdateStep> Leave();
  // HeldUp reports a gate that is closed, once.
  void HeldUp(std::string_view gate, const std::string& detail);
  void ReportSettled();
  void Report(std::string_view gate, std::string detail);
  // ReportPlan is Report, but for a record that is still of another release: then it says
  // `otherwise` of the plan's, or nothing.
  void ReportPlan(const ota::InstallPlan& plan, std::optional<ota::UpdateState> otherwise,
                  std::string_view gate, std::string detail);
  void ReportProgress(const ota::InstallProgress& progress);
  // OriginsBefore is what is known of an image that this attempt goes on with.
  ota::ImageOrigins OriginsBefore(const ReleaseDigest& release);
  void NoteOrigins(const ota::InstallPlan& plan);

  UpdateDriverParts parts_;
  UpdateStep step_ = UpdateStep::kSettled;
  std::optional<ota::InstallPlan> plan_;
  TrialNote note_;
  HealthFacts facts_;
  std::optional<ReleaseDigest> attested_release_;
  std::optional<Duration> trial_ends_;  // boot clock
  // Boot clock; until the slot that an update fell back to has proven itself.
  std::optional<Duration> fallback_ends_;
  std::string degraded_by_;  // the gate that was reported last
  std::string held_up_;      // gate and detail that were reported last
  std::optional<unsigned> reported_percent_;
  ota::ImageOrigins origins_before_;  // of the image, from earlier calls of Install
  ota::ImageOrigins origins_;         // from this one
};

}  // namespace sallyport::device
