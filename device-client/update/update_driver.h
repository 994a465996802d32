// UpdateDriver: brings this machine to the release it was assigned: installs, reboots, has the new
// boot judged, commits or goes back. It decides nothing that ota/install's tables do not say.
#pragma once

#include <functional>
#include <optional>

#include "device-client/agent/evidence.h"
#include "ota/install/installer.h"
#include "pki/base/time.h"

namespace sallyport::device {

// A boot that has not been admitted by then will not be.
inline constexpr Duration kTrialTimeout = Minutes(10);

// Rebooter asks the machine to reboot; it returns at once.
class Rebooter {
 public:
  virtual ~Rebooter() = default;
  virtual Result<Unit> Reboot() = 0;
};

// ReportFunction hears of every state and, while writing, of every percent. `gate` of a report is
// one of install, boot, attestation, health-timeout, health, fallback when something went wrong,
// else empty.
using ReportFunction = std::function<void(const UpdateReport&)>;

// What the driver waits for after a call.
enum class UpdateStep : uint8_t {
  kSettled,    // an assignment
  kTrial,      // the attestation of this boot
  kRebooting,  // nothing more in this boot
};

// HealthCheck says whether this boot is good enough to be kept without a server's word (a plan that
// allows LocalCommit); asked once, at the end of the trial.
using HealthCheck = std::function<Result<Unit>()>;

// UpdateDriverParts are borrowed.
struct UpdateDriverParts {
  ota::Installer& installer;
  ota::PayloadSource& source;
  Rebooter& rebooter;
  const Clock& clock;
  ReportFunction report;
  HealthCheck health = {};  // absent: never good
};

// One thread at a time.
class UpdateDriver {
 public:
  explicit UpdateDriver(UpdateDriverParts parts, Duration trial_timeout = kTrialTimeout)
      : parts_(std::move(parts)), trial_timeout_(trial_timeout) {}

  // Boot judges this boot; call it first. Errors of the record and the firmware.
  Result<UpdateStep> Boot();
  // Assign installs the release of `plan`, arms it and reboots. During a trial and after a reboot
  // was asked for it does nothing. Errors of Installer::Install; try again when ota::MayPass.
  Result<UpdateStep> Assign(const ota::InstallPlan& plan);
  // Judged: what the server said to the evidence of this boot. Outside a trial it means nothing.
  // `plan` may be null.
  Result<UpdateStep> Judged(ota::TrialOutcome outcome, const ota::InstallPlan* plan);
  // Tick ends a trial that was not judged in time: by committing when `plan`, which may be null,
  // allows it and this boot is healthy, else by going back.
  Result<UpdateStep> Tick(const ota::InstallPlan* plan = nullptr);

 private:
  Result<UpdateStep> BeginTrial();
  Result<UpdateStep> ArmAndReboot();
  Result<UpdateStep> Reboot();
  Result<UpdateStep> RollBack(std::string_view gate, bool reboot, std::string why = "");
  void Report(std::string_view gate, std::string detail);
  // ReportPlan is Report, but for a record that is still of another release: then it says
  // `otherwise` of the plan's, or nothing.
  void ReportPlan(const ota::InstallPlan& plan, std::optional<ota::UpdateState> otherwise,
                  std::string_view gate, std::string detail);
  void ReportProgress(const ota::InstallProgress& progress);

  UpdateDriverParts parts_;
  const Duration trial_timeout_;
  UpdateStep step_ = UpdateStep::kSettled;
  std::optional<Duration> trial_ends_;  // boot clock
  std::optional<unsigned> reported_percent_;
};

}  // namespace sallyport::device
