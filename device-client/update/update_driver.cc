#include "device-client/update/update_driver.h"

#include "pki/base/log.h"
#include "pki/base/printable.h"

namespace sallyport::device {

using ota::BootAction;

namespace {

constexpr unsigned kWhole = 100;

unsigned Percent(const ota::UpdateRecord& record) {
  const bool written =
      record.state >= ota::UpdateState::kWritten && record.state <= ota::UpdateState::kCommitted;
  return written ? kWhole : 0;
}

// What is on trial or over waits for nothing.
bool Waits(ota::UpdateState state) {
  return state >= ota::UpdateState::kPlanned && state <= ota::UpdateState::kArmed;
}

bool FellBack(ota::UpdateState state) {
  return state == ota::UpdateState::kRolledBack || state == ota::UpdateState::kDegraded;
}

HealthState& StateOf(HealthFacts& facts, HealthCheck check) {
  return facts[static_cast<size_t>(check)];
}

void LogHeldUp(std::string_view gate, const std::string& detail) {
  Log(LogLevel::kInfo, "update_held_up",
      {{"gate", std::string(gate)}, {"detail", PrintableLine(detail)}});
}

HealthState FromResult(const Result<Unit>& result) {
  return result ? HealthState{HealthAnswer::kPassed, ""}
                : HealthState{HealthAnswer::kFailed, result.error().ToString()};
}

}  // namespace

Result<UpdateStep> UpdateDriver::Boot() {
  note_ = parts_.notes.Load();
  RunDueHook();
  SP_TRY(const BootAction action, parts_.installer.Judge());
  switch (action) {
    case BootAction::kAwaitAttestation: return BeginTrial();
    case BootAction::kReboot:
    case BootAction::kRetry: step_ = UpdateStep::kWaiting; return TickWaiting();
    case BootAction::kRollBack: return RollBack("boot", "the new slot did not come up", false);
    case BootAction::kAbandon: {
      SP_TRY(parts_.installer.Abandon());
      Report("install", "the slot being written was booted, or its kernel image is gone");
      return step_;
    }
    case BootAction::kReportFallback:
      Report("fallback", "the firmware fell back to the other slot");
      return step_;
    case BootAction::kNothing:
    case BootAction::kResumeInstall:
    case BootAction::kArm:
      ReportSettled();
      WatchFallback();
      return LeaveGivenUpSlot();
  }
  std::abort();
}

// The agent ended between giving the slot up and the reboot.
Result<UpdateStep> UpdateDriver::LeaveGivenUpSlot() {
  SP_TRY(const ota::UpdateRecord record, parts_.installer.Record());
  SP_TRY(const ota::Slot running, parts_.installer.RunningSlot());
  const bool given_up = record.state == ota::UpdateState::kRolledBack && running == record.slot;
  if (!given_up || note_.leaves >= kLeavesMax) return step_;
  return Leave();
}

Result<UpdateStep> UpdateDriver::Leave() {
  ++note_.leaves;
  parts_.notes.Save(note_);
  return Reboot();
}

void UpdateDriver::RunDueHook() {
  if (note_.hook_due.empty()) return;
  const Hook hook =
      note_.hook_due == HookName(Hook::kAfterCommit) ? Hook::kAfterCommit : Hook::kAfterRollback;
  const Result<Unit> ran = parts_.checks.RunHook(hook, Subject());  // it logs
  if (!ran && ran.error().rule == kHookStopped) return;
  note_.hook_due.clear();
  parts_.notes.Save(note_);
}

void UpdateDriver::NoteRelease(const ReleaseDigest& release) {
  if (note_.release == release) return;
  TrialNote fresh;
  fresh.release = release;
  fresh.past = std::move(note_.past);
  note_ = std::move(fresh);
}

Result<UpdateStep> UpdateDriver::BeginTrial() {
  SP_TRY(parts_.installer.BeginTrial());
  SP_TRY(const ota::UpdateRecord record, parts_.installer.Record());
  NoteRelease(record.release);
  ++note_.starts;
  parts_.notes.Save(note_);
  if (note_.starts > kTrialStartsMax)
    return RollBack(HealthCheckName(HealthCheck::kAgent),
                    "it was started " + std::to_string(note_.starts) + " times in its trial", true);
  trial_ends_ = Duration{parts_.clock.Boot().ms + parts_.checks.settings().health.timeout.ms};
  Report("", "");
  return step_ = UpdateStep::kTrial;
}

void UpdateDriver::Hear(const HealthNews& news) {
  StateOf(facts_, news.check) = news.state;
  if (news.check == HealthCheck::kAttestation) attested_release_ = news.release;
}

Result<UpdateStep> UpdateDriver::Tick() {
  switch (step_) {
    case UpdateStep::kTrial: return TickTrial();
    case UpdateStep::kWaiting: return TickWaiting();
    case UpdateStep::kSettled: return fallback_ends_ ? TickFallback() : step_;
    case UpdateStep::kRebooting: return step_;
  }
  std::abort();
}

void UpdateDriver::WatchFallback() {
  const auto record = parts_.installer.Record();
  const auto running = parts_.installer.RunningSlot();
  if (!record || !running || *running == record->slot) return;
  const bool fell_back = record->state == ota::UpdateState::kRolledBack && !note_.fallback_good;
  if (fell_back || record->state == ota::UpdateState::kDegraded)
    fallback_ends_ = Duration{parts_.clock.Boot().ms + parts_.checks.settings().health.timeout.ms};
}

// The gate of a trial, but for the watchdog, which would only reboot what there is no way back
// from, and for which release the server admitted.
Result<UpdateStep> UpdateDriver::TickFallback() {
  SP_TRY(const ota::UpdateRecord record, parts_.installer.Record());
  if (!FellBack(record.state)) {  // another update was begun since
    fallback_ends_.reset();
    return step_;
  }
  SP_TRY(const auto release, parts_.installer.RunningRelease());
  StateOf(facts_, HealthCheck::kWatchdog) = {HealthAnswer::kPassed, ""};
  parts_.checks.Look(
      {release ? HexEncode(*release) : "", "", std::string(ota::SlotName(ota::Other(record.slot)))},
      facts_);
  const HealthVerdict verdict = JudgeHealth(facts_, parts_.clock.Boot(), *fallback_ends_,
                                            parts_.checks.settings().health.timeout);
  switch (verdict.step) {
    case HealthStep::kCommit: SP_TRY(Recover()); break;
    case HealthStep::kRollBack: SP_TRY(Degrade(verdict)); break;
    case HealthStep::kWait:
    case HealthStep::kCommitLocally: break;
  }
  return step_;
}

Result<Unit> UpdateDriver::Recover() {
  SP_TRY(const ota::UpdateRecord record, parts_.installer.Record());
  const bool degraded = record.state == ota::UpdateState::kDegraded;
  if (degraded) SP_TRY(parts_.installer.Recover());
  fallback_ends_.reset();
  degraded_by_.clear();
  NoteRelease(record.release);
  note_.fallback_good = true;
  parts_.notes.Save(note_);
  if (degraded) ReportSettled();
  return Unit{};
}

// It stays up and is looked at on: what is missing may come, and there is nowhere to go back to.
Result<Unit> UpdateDriver::Degrade(const HealthVerdict& verdict) {
  SP_TRY(const ota::UpdateRecord record, parts_.installer.Record());
  if (record.state != ota::UpdateState::kDegraded) {
    SP_TRY(parts_.installer.Degrade());
    Log(LogLevel::kError, "update_degraded",
        {{"gate", verdict.gate}, {"detail", PrintableLine(verdict.detail)}});
  }
  if (verdict.gate == degraded_by_) return Unit{};
  degraded_by_ = verdict.gate;
  const bool known = note_.release == record.release && !note_.gate.empty();
  Report(verdict.gate, verdict.detail + (known ? "; it fell back to this slot by gate " +
                                                     note_.gate + ": " + note_.detail
                                               : ""));
  return Unit{};
}

Result<UpdateStep> UpdateDriver::TickTrial() {
  const Result<Unit> opened = parts_.watchdog.Open();
  const bool alive = !parts_.alive || parts_.alive();
  StateOf(facts_, HealthCheck::kWatchdog) =
      FromResult(opened && alive ? parts_.watchdog.Feed() : opened);
  SP_TRY(const ota::UpdateRecord record, parts_.installer.Record());
  HealthState& attested = StateOf(facts_, HealthCheck::kAttestation);
  if (attested.answer == HealthAnswer::kPassed && attested_release_ != record.release)
    attested = {HealthAnswer::kWaiting, "this boot was admitted, but not as the release on trial"};
  parts_.checks.Look(Subject(), facts_);
  const HealthVerdict verdict =
      JudgeHealth(facts_, parts_.clock.Boot(), *trial_ends_,
                  parts_.checks.settings().health.timeout, MayCommitAlone(record));
  switch (verdict.step) {
    case HealthStep::kCommit: return Commit();
    case HealthStep::kCommitLocally: return CommitAlone();
    case HealthStep::kRollBack: return RollBack(verdict.gate, verdict.detail, true);
    case HealthStep::kWait: HeldUp(verdict.gate, verdict.detail); return step_;
  }
  std::abort();
}

ota::LocalCommit UpdateDriver::MayCommitAlone(const ota::UpdateRecord& record) const {
  const bool on_trial = plan_ && plan_->facts().release == record.release;
  return on_trial && parts_.alone ? plan_->local_commit() : ota::LocalCommit::kRefused;
}

Result<UpdateStep> UpdateDriver::CommitAlone() {
  const Result<Unit> good = parts_.alone();
  if (!good) return RollBack("alone", good.error().ToString(), true);
  return EndCommit(parts_.installer.CommitLocally(*plan_), "committed without a server");
}

Result<UpdateStep> UpdateDriver::Commit() {
  return EndCommit(parts_.installer.Commit(plan_ ? &*plan_ : nullptr), "");
}

// The old slot arms the target again.
bool UpdateDriver::MayRetry(const Error& commit) {
  const auto record = parts_.installer.Record();
  return record && ota::DeservesAnotherBoot(commit, *record);
}

Result<UpdateStep> UpdateDriver::EndCommit(const Result<Unit>& committed, std::string detail) {
  const bool late = parts_.clock.Boot() >= *trial_ends_;
  if (!committed && MayRetry(committed.error())) {
    Report("commit", committed.error().ToString());
    return Reboot();
  }
  if (!committed && (late || !ota::MayPass(committed.error().reason)))
    return RollBack("commit", committed.error().ToString(), true);
  if (!committed) return committed.error();
  parts_.watchdog.Disarm();
  trial_ends_.reset();
  step_ = UpdateStep::kSettled;
  NoteCommit();
  Report("", std::move(detail));
  RunDueHook();
  return step_;
}

void UpdateDriver::NoteCommit() {
  const TrustedTime::Reading time = parts_.time();
  const Duration took = time.now - note_.asked;
  if (time.sure && note_.asked.ms > 0 && took.ms > 0 && took <= Days(1)) {
    if (note_.past.size() >= kPastUpdatesMax) note_.past.erase(note_.past.begin());
    note_.past.push_back(took);
  }
  note_.starts = 0;
  note_.asked = {};
  if (!parts_.checks.settings().hooks.after_commit.empty())
    note_.hook_due = HookName(Hook::kAfterCommit);
  parts_.notes.Save(note_);
}

Result<UpdateStep> UpdateDriver::RollBack(std::string_view gate, std::string detail, bool reboot) {
  SP_TRY(const ota::UpdateRecord record, parts_.installer.Record());
  SP_TRY(parts_.installer.RollBack());
  NoteRelease(record.release);
  note_.gate = gate;
  note_.detail = std::move(detail);
  trial_ends_.reset();
  step_ = UpdateStep::kSettled;
  if (!parts_.checks.settings().hooks.after_rollback.empty())
    note_.hook_due = HookName(Hook::kAfterRollback);
  parts_.notes.Save(note_);
  if (reboot)
    Report(gate, note_.detail);
  else
    ReportSettled();
  RunDueHook();
  if (!reboot) WatchFallback();
  return reboot ? Leave() : step_;
}

// The reason of a rollback is said again after the reboot, with the log that only then can be read:
// nobody may have heard the first report.
void UpdateDriver::ReportSettled() {
  const auto record = parts_.installer.Record();
  if (!record || !FellBack(record->state) || note_.release != record->release)
    return Report("", "");
  const auto running = parts_.installer.RunningSlot();
  if (!note_.log_read && running && *running != record->slot) {
    note_.log = parts_.checks.PreviousLog();
    note_.log_read = true;
    parts_.notes.Save(note_);
  }
  Report(note_.gate, note_.detail);
}

Result<UpdateStep> UpdateDriver::TickWaiting() {
  if (Cancelled()) return CallOff();
  const Duration takes = RebootTakes(parts_.checks.settings().windows.reboot_takes, note_.past);
  const GateDecision gate = parts_.checks.MayReboot(Subject(), takes);
  if (!gate.open) {
    HeldUp(gate.gate, gate.detail);
    return step_;
  }
  // The hook may have taken its time.
  if (Cancelled()) return CallOff();
  SP_TRY(const BootAction action, parts_.installer.Judge());
  if (action != BootAction::kReboot) return Arm(gate.detail);
  return Reboot();
}

Result<UpdateStep> UpdateDriver::Arm(std::string detail) {
  SP_TRY(parts_.installer.Arm());
  SP_TRY(const ota::UpdateRecord record, parts_.installer.Record());
  NoteRelease(record.release);
  const TrustedTime::Reading time = parts_.time();
  note_.starts = 0;
  note_.asked = time.sure ? time.now : UnixTime{};
  parts_.notes.Save(note_);
  Report("", std::move(detail));
  if (Cancelled()) return CallOff();
  return Reboot();
}

Result<UpdateStep> UpdateDriver::Reboot() {
  SP_TRY(parts_.rebooter.Reboot());
  return step_ = UpdateStep::kRebooting;
}

// What did not come up in its first try cannot be abandoned: it was tried.
Result<UpdateStep> UpdateDriver::CallOff() {
  constexpr std::string_view kWhy = "the release is no longer assigned";
  SP_TRY(const ota::UpdateRecord record, parts_.installer.Record());
  plan_.reset();
  if (record.state == ota::UpdateState::kTrial)
    return RollBack("cancelled", std::string(kWhy), false);
  step_ = UpdateStep::kSettled;
  if (!ota::Next(record.state, ota::UpdateEvent::kFail)) return step_;
  SP_TRY(parts_.installer.Abandon());
  Report("cancelled", std::string(kWhy));
  return step_;
}

Result<UpdateStep> UpdateDriver::Withdraw(const ReleaseDigest& release) {
  SP_TRY(const ota::UpdateRecord record, parts_.installer.Record());
  const bool undecided = step_ == UpdateStep::kSettled || step_ == UpdateStep::kWaiting;
  if (!undecided || record.release != release) return step_;
  return CallOff();
}

// IsNews: there is something to install, so that the owner may be asked.
bool UpdateDriver::IsNews(const ota::InstallPlan& plan) {
  const ReleaseDigest& release = plan.facts().release;
  const auto record = parts_.installer.Record();
  const auto running = parts_.installer.RunningRelease();
  if (!record || !running) return true;
  const bool ready = record->release == release && (record->state == ota::UpdateState::kVerified ||
                                                    record->state == ota::UpdateState::kArmed);
  return *running != release && !record->HasFailed(release) && !ready;
}

UpdateSubject UpdateDriver::SubjectOf(const ota::InstallPlan& plan, ota::Slot running) const {
  const ota::InstallFacts& facts = plan.facts();
  return {HexEncode(facts.release), facts.version, std::string(ota::SlotName(ota::Other(running))),
          facts.install_by};
}

Error UpdateDriver::Postpone(const ota::InstallPlan& plan, const GateDecision& gate) {
  const std::string name =
      (gate.gate == "window" || gate.gate == "time" ? "install-" : "") + std::string(gate.gate);
  const std::string now = HexEncode(plan.facts().release) + name + ": " + gate.detail;
  if (now != held_up_) {
    LogHeldUp(name, gate.detail);
    ReportPlan(plan, ota::UpdateState::kPlanned, name, gate.detail);
  }
  held_up_ = now;
  return Error{Reason::kUnavailable, name + ": " + gate.detail, "update.postponed"};
}

// What somebody brought may be what mends this device.
Result<Unit> UpdateDriver::CheckFallback(const ota::InstallPlan& plan) {
  if (!fallback_ends_ || plan.origin() == ota::PlanOrigin::kBrought) return Unit{};
  SP_TRY(const ota::UpdateRecord record, parts_.installer.Record());
  if (record.state == ota::UpdateState::kDegraded)
    return Postpone(plan, {false, "degraded", "this device installs nothing on its own"});
  return Postpone(plan, {false, "fallback", "the slot it went back to has not proven itself"});
}

Result<Unit> UpdateDriver::CheckBeforeInstall(const ota::InstallPlan& plan) {
  SP_TRY(CheckFallback(plan));
  SP_TRY(const ota::Slot running, parts_.installer.RunningSlot());
  const GateDecision gate = parts_.checks.MayInstall(SubjectOf(plan, running));
  if (Cancelled())
    return Error{Reason::kUnavailable, "another order is waiting", "update.cancelled"};
  if (gate.open) return Unit{};
  return Postpone(plan, gate);
}

Result<UpdateStep> UpdateDriver::Assign(const ota::InstallPlan& plan) {
  const bool same = plan_ && plan_->facts().release == plan.facts().release;
  plan_ = plan;
  if (step_ == UpdateStep::kWaiting && !same) {
    SP_TRY(CallOff());
    plan_ = plan;
  }
  if (step_ != UpdateStep::kSettled) return step_;
  if (IsNews(plan)) SP_TRY(CheckBeforeInstall(plan));
  return Install(plan);
}

Result<UpdateStep> UpdateDriver::Install(const ota::InstallPlan& plan) {
  reported_percent_.reset();
  held_up_.clear();
  SP_TRY(const ota::Slot running, parts_.installer.RunningSlot());
  const UpdateSubject subject = SubjectOf(plan, running);
  std::optional<GateDecision> closed;  // while it was being installed
  const auto go_on = [&]() -> Result<Unit> {
    const GateDecision gate = parts_.checks.MayGoOn(subject);
    if (gate.open) return Unit{};
    closed = gate;
    return Error{Reason::kUnavailable, gate.detail, "update.postponed"};
  };
  origins_before_ = OriginsBefore(plan.facts().release);
  origins_ = {};
  const auto installed = parts_.installer.Install(
      plan, parts_.source, [this](const auto& progress) { ReportProgress(progress); }, go_on);
  NoteOrigins(plan);
  if (!installed && closed) return Postpone(plan, *closed);
  if (!installed) {
    const bool refused = !ota::MayPass(installed.error().reason);
    ReportPlan(plan, refused ? std::optional(ota::UpdateState::kFailed) : std::nullopt, "install",
               installed.error().ToString());
    return installed.error();
  }
  SP_TRY(const BootAction action, parts_.installer.Judge());
  ReportPlan(plan, ota::UpdateState::kCommitted, "", "");
  if (action != BootAction::kArm && action != BootAction::kReboot) return step_;
  fallback_ends_.reset();
  NoteRelease(plan.facts().release);
  note_.version = plan.facts().version;
  parts_.notes.Save(note_);
  step_ = UpdateStep::kWaiting;
  return TickWaiting();
}

ota::ImageOrigins UpdateDriver::OriginsBefore(const ReleaseDigest& release) {
  const auto record = parts_.installer.Record();
  const bool goes_on =
      record && record->release == release && record->resume_offset > 0 && note_.release == release;
  return goes_on ? note_.origins : ota::ImageOrigins();
}

void UpdateDriver::NoteOrigins(const ota::InstallPlan& plan) {
  if (origins_.empty()) return;
  NoteRelease(plan.facts().release);
  note_.origins = origins_before_;
  note_.origins += origins_;
  parts_.notes.Save(note_);
}

UpdateSubject UpdateDriver::Subject() {
  const auto record = parts_.installer.Record();
  if (!record) return {};
  return {HexEncode(record->release), note_.release == record->release ? note_.version : "",
          std::string(ota::SlotName(record->slot)), InstallBy(record->release)};
}

std::optional<UnixTime> UpdateDriver::InstallBy(const ReleaseDigest& release) const {
  return plan_ && plan_->facts().release == release ? plan_->facts().install_by : std::nullopt;
}

// In a trial the detail of a gate changes with each look at it: the last one is told at the end.
void UpdateDriver::HeldUp(std::string_view gate, const std::string& detail) {
  std::string now = std::string(gate) + (step_ == UpdateStep::kTrial ? "" : ": " + detail);
  if (now == held_up_) return;
  held_up_ = std::move(now);
  LogHeldUp(gate, detail);
  Report(gate, detail);
}

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
  if (note_.release == record->release) report.origins = note_.origins;
  if (Waits(record->state)) report.install_by = InstallBy(record->release);
  if (FellBack(record->state) && note_.release == record->release) report.log_tail = note_.log;
  report.degraded = record->state == ota::UpdateState::kDegraded;
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
  report.install_by = plan.facts().install_by;
  report.degraded = record->state == ota::UpdateState::kDegraded;
  parts_.report(report);
}

// A report per percent is enough for a progress bar, whatever the number of segments.
void UpdateDriver::ReportProgress(const ota::InstallProgress& progress) {
  origins_ = progress.origins;
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
  report.install_by = InstallBy(record->release);
  report.origins = origins_before_;
  report.origins += origins_;
  parts_.report(report);
}

}  // namespace sallyport::device
