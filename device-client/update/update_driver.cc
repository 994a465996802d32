#include "device-client/update/update_driver.h"

namespace sallyport::device {

using ota::BootAction;

namespace {

constexpr unsigned kWhole = 100;

unsigned Percent(const ota::UpdateRecord& record) {
  const bool written =
      record.state >= ota::UpdateState::kWritten && record.state <= ota::UpdateState::kCommitted;
  return written ? kWhole : 0;
}

}  // namespace

void UpdateDriver::Report(std::string_view gate, std::string detail) {
  const auto record = parts_.installer.Record();
  if (!record || !parts_.report) return;
  UpdateReport report;
  report.state = ota::StateName(record->state);
  report.slot = ota::SlotName(record->slot);
  if (record->state != ota::UpdateState::kIdle) report.release = record->release;
  report.gate = gate;
  report.detail = std::move(detail);
  report.percent = Percent(*record);
  parts_.report(report);
}

void UpdateDriver::ReportPlan(const ota::InstallPlan& plan,
                              std::optional<ota::UpdateState> otherwise, std::string_view gate,
                              std::string detail) {
  const auto record = parts_.installer.Record();
  if (!record || record->release == plan.facts().release) return Report(gate, std::move(detail));
  if (!parts_.report || !otherwise) return;
  UpdateReport report;
  report.state = ota::StateName(*otherwise);
  report.release = plan.facts().release;
  report.gate = gate;
  report.detail = std::move(detail);
  parts_.report(report);
}

// A report per percent is enough for a progress bar, whatever the number of segments.
void UpdateDriver::ReportProgress(const ota::InstallProgress& progress) {
  const auto percent = static_cast<unsigned>(progress.done / (progress.total / kWhole + 1));
  if (reported_percent_ == percent || progress.state != ota::UpdateState::kWriting) return;
  reported_percent_ = percent;
  const auto record = parts_.installer.Record();
  if (!record || !parts_.report) return;
  UpdateReport report;
  report.state = ota::StateName(progress.state);
  report.slot = ota::SlotName(record->slot);
  report.release = record->release;
  report.percent = percent;
  parts_.report(report);
}

Result<UpdateStep> UpdateDriver::Boot() {
  SP_TRY(const BootAction action, parts_.installer.Judge());
  switch (action) {
    case BootAction::kAwaitAttestation: return BeginTrial();
    case BootAction::kReboot: return Reboot();
    case BootAction::kRetry: return ArmAndReboot();
    case BootAction::kRollBack: return RollBack("boot", false);
    case BootAction::kAbandon: {
      SP_TRY(parts_.installer.Abandon());
      Report("install", "the slot being written was booted");
      return step_;
    }
    case BootAction::kReportFallback:
      Report("fallback", "the firmware fell back to the other slot");
      return step_;
    case BootAction::kNothing:
    case BootAction::kResumeInstall:
    case BootAction::kArm: Report("", ""); return step_;
  }
  std::abort();
}

Result<UpdateStep> UpdateDriver::BeginTrial() {
  SP_TRY(parts_.installer.BeginTrial());
  trial_ends_ = Duration{parts_.clock.Boot().ms + trial_timeout_.ms};
  Report("", "");
  return step_ = UpdateStep::kTrial;
}

Result<UpdateStep> UpdateDriver::ArmAndReboot() {
  SP_TRY(parts_.installer.Arm());
  Report("", "");
  return Reboot();
}

Result<UpdateStep> UpdateDriver::Reboot() {
  SP_TRY(parts_.rebooter.Reboot());
  return step_ = UpdateStep::kRebooting;
}

Result<UpdateStep> UpdateDriver::RollBack(std::string_view gate, bool reboot, std::string why) {
  SP_TRY(parts_.installer.RollBack());
  trial_ends_.reset();
  step_ = UpdateStep::kSettled;
  Report(gate, std::move(why));
  return reboot ? Reboot() : step_;
}

Result<UpdateStep> UpdateDriver::Assign(const ota::InstallPlan& plan) {
  if (step_ != UpdateStep::kSettled) return step_;
  reported_percent_.reset();
  const auto installed = parts_.installer.Install(
      plan, parts_.source, [this](const auto& progress) { ReportProgress(progress); });
  if (!installed) {
    const bool refused = !ota::MayPass(installed.error().reason);
    ReportPlan(plan, refused ? std::optional(ota::UpdateState::kFailed) : std::nullopt, "install",
               installed.error().ToString());
    return installed.error();
  }
  SP_TRY(const BootAction action, parts_.installer.Judge());
  ReportPlan(plan, ota::UpdateState::kCommitted, "", "");
  if (action == BootAction::kArm) return ArmAndReboot();
  if (action == BootAction::kReboot) return Reboot();
  return step_;
}

Result<UpdateStep> UpdateDriver::Judged(ota::TrialOutcome outcome, const ota::InstallPlan* plan) {
  if (step_ != UpdateStep::kTrial) return step_;
  switch (ota::JudgeTrial(outcome)) {
    case ota::TrialAction::kCommit: SP_TRY(parts_.installer.Commit(plan)); break;
    case ota::TrialAction::kCommitLocally:
      SP_CHECK(plan != nullptr);
      SP_TRY(parts_.installer.CommitLocally(*plan));
      break;
    case ota::TrialAction::kRollBack:
      return RollBack(outcome == ota::TrialOutcome::kTimedOut ? "health-timeout" : "attestation",
                      true);
  }
  trial_ends_.reset();
  step_ = UpdateStep::kSettled;
  Report("", outcome == ota::TrialOutcome::kHealthyAlone ? "committed without a server" : "");
  return step_;
}

Result<UpdateStep> UpdateDriver::Tick(const ota::InstallPlan* plan) {
  if (!trial_ends_ || parts_.clock.Boot() < *trial_ends_) return step_;
  const bool allowed = plan != nullptr && plan->local_commit() == ota::LocalCommit::kAllowed;
  if (!allowed || !parts_.health) return Judged(ota::TrialOutcome::kTimedOut, nullptr);
  const Result<Unit> healthy = parts_.health();
  if (healthy) return Judged(ota::TrialOutcome::kHealthyAlone, plan);
  return RollBack("health", true, healthy.error().ToString());
}

}  // namespace sallyport::device
