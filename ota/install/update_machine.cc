#include "ota/install/update_machine.h"

namespace sallyport::ota {
namespace {

// The target was armed: it runs, it still waits for the reboot, or it did not come up.
BootAction JudgeArmed(const BootFacts& facts) {
  if (facts.running == facts.target) return BootAction::kAwaitAttestation;
  // Installed again, it would get its tries again.
  if (!facts.has_kernel)
    return facts.next_boot == facts.target && facts.attempt <= 1 ? BootAction::kAbandon
                                                                 : BootAction::kRollBack;
  if (facts.next_boot == facts.target) return BootAction::kReboot;
  return facts.attempt < kTrialAttemptsMax ? BootAction::kRetry : BootAction::kRollBack;
}

}  // namespace

BootAction JudgeBoot(const BootFacts& facts) {
  const bool on_target = facts.running == facts.target;
  switch (facts.state) {
    case UpdateState::kIdle:
    case UpdateState::kFailed:
    case UpdateState::kRolledBack:
    case UpdateState::kDegraded: return BootAction::kNothing;
    case UpdateState::kPlanned:
    case UpdateState::kWriting:
    case UpdateState::kWritten:
      return on_target ? BootAction::kAbandon : BootAction::kResumeInstall;
    // BootNext is set before the record says ARMED, so a cut in between shows here.
    case UpdateState::kVerified:
      if (on_target) return BootAction::kAwaitAttestation;
      return facts.has_kernel ? BootAction::kArm : BootAction::kAbandon;
    case UpdateState::kArmed:
    case UpdateState::kTrial: return JudgeArmed(facts);
    case UpdateState::kCommitted:
      return on_target ? BootAction::kNothing : BootAction::kReportFallback;
  }
  std::abort();
}

bool DeservesAnotherBoot(const Error& commit, const UpdateRecord& record) {
  return commit.rule == "install.firmware-version" && record.attempt < kTrialAttemptsMax;
}

}  // namespace sallyport::ota
