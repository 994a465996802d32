#include "device-client/update/machine_checks.h"

#include <algorithm>

#include "device-client/update/previous_log.h"
#include "pki/base/log.h"
#include "pki/base/printable.h"
#include "policies/language/zone_files.h"

namespace sallyport::device {
namespace {

constexpr const char* kBootComplete = "boot-complete.target";
constexpr const char* kSystemctl = "/usr/bin/systemctl";
constexpr const char* kLocalTime = "/etc/localtime";
constexpr uint64_t kZoneFileMax = 64 << 10;
constexpr Duration kUnitTimeout = Seconds(10);  // systemctl asks one question of one service
constexpr Duration kHookAgain = Minutes(1);     // between two runs of a hook that says no
constexpr size_t kInhibitorsMax = 32;           // more say nothing new
constexpr uint64_t kInhibitorBytesMax = 256;    // a sentence

std::vector<std::string> Environment(const UpdateSubject& subject) {
  return {"SALLYPORT_RELEASE=" + subject.release, "SALLYPORT_VERSION=" + subject.version,
          "SALLYPORT_SLOT=" + subject.slot,
          "SALLYPORT_INSTALL_BY=" + (subject.install_by ? FormatRfc3339(*subject.install_by) : "")};
}

Duration After(const Clock& clock, Duration wait) { return Duration{clock.Boot().ms + wait.ms}; }

// WhyOf is what an inhibitor's file says; its name alone already inhibits.
std::string WhyOf(FileSystem& files, const std::string& path) {
  const auto file = files.Open(path, OpenMode::kRead);
  if (!file) return "";
  Bytes text(kInhibitorBytesMax);
  const Result<size_t> size = (*file)->ReadAt(0, text);
  std::string line = PrintableLine(AsText(ByteView(text).first(size ? *size : 0)));
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

void AddInhibitors(FileSystem& files, const std::string& directory, std::vector<Inhibitor>& out) {
  const auto names = files.List(directory);
  if (!names && names.error().reason != Reason::kNotFound)
    out.push_back({PrintableLine(directory), "cannot be read: " + names.error().ToString()});
  if (!names) return;
  for (const std::string& name : *names)
    if (out.size() < kInhibitorsMax && !name.starts_with('.'))
      out.push_back({PrintableLine(name), WhyOf(files, directory + "/" + name)});
}

// A program that was killed because the agent ends has not said no, and not yes either.
bool Stopped(const Result<Unit>& ran) { return !ran && ran.error().rule == kHookStopped; }

std::string_view PathOf(const HookSettings& settings, Hook hook) {
  switch (hook) {
    case Hook::kBeforeInstall: return settings.before_install;
    case Hook::kBeforeReboot: return settings.before_reboot;
    case Hook::kAfterCommit: return settings.after_commit;
    case Hook::kAfterRollback: return settings.after_rollback;
  }
  std::abort();
}

// An open gate has a detail when something that said no was not waited for.
void LogOverride(const GateDecision& decision, const UpdateSubject& subject, Deadline deadline) {
  if (decision.detail.empty() || deadline != Deadline::kPassed) return;
  Log(LogLevel::kWarning, "update_deadline_past",
      {{"release", subject.release},
       {"install_by", FormatRfc3339(*subject.install_by)},
       {"detail", decision.detail}});
}

}  // namespace

std::string_view HookName(Hook hook) {
  switch (hook) {
    case Hook::kBeforeInstall: return "before-install";
    case Hook::kBeforeReboot: return "before-reboot";
    case Hook::kAfterCommit: return "after-commit";
    case Hook::kAfterRollback: return "after-rollback";
  }
  std::abort();
}

policy::ZoneLookup LocalZones(FileSystem& files) {
  return [&files,
          named = policy::ZoneFiles(files)](std::string_view name) -> Result<policy::ZoneRule> {
    if (name != "local") return named(name);
    SP_TRY(const Bytes file, ReadFile(files, kLocalTime, kZoneFileMax));
    return policy::ZoneRule::FromTzif(file);
  };
}

MachineChecks::MachineChecks(MachineParts parts, TrialSettings settings, std::string state)
    : parts_(std::move(parts)),
      settings_(std::move(settings)),
      state_(std::move(state)),
      install_window_(ResolveWindow(settings_.windows.install, parts_.zones)),
      reboot_window_(ResolveWindow(settings_.windows.reboot, parts_.zones)) {
  MakeProbes();
}

void MachineChecks::MakeProbes() {
  std::vector<std::string> units;
  if (settings_.health.units)
    units = *settings_.health.units;
  else if (SystemdRuns(parts_.files))
    units = {kBootComplete};
  for (const std::string& unit : units)
    probes_.push_back({HealthCheck::kUnits,
                       unit,
                       Command{{kSystemctl, "is-active", "--", unit}, {}, kUnitTimeout},
                       "",
                       {}});
  for (const HealthProbe& probe : settings_.health.probes)
    probes_.push_back({HealthCheck::kProbes,
                       probe.name,
                       Command{probe.command, {}, probe.timeout},
                       probe.tcp,
                       {}});
}

void MachineChecks::Run(Probe& probe, const UpdateSubject& subject) {
  probe.command.environment = Environment(subject);
  const Result<Unit> passed = probe.tcp.empty()
                                  ? RunToSuccess(parts_.runner, probe.command)
                                  : parts_.runner.Connect(probe.tcp, probe.command.timeout);
  if (passed)
    probe.state = {HealthAnswer::kPassed, ""};
  else if (!Stopped(passed))
    probe.state = {HealthAnswer::kFailed, probe.name + ": " + passed.error().ToString()};
}

HealthState MachineChecks::Summary(HealthCheck check) const {
  HealthState out{HealthAnswer::kPassed, ""};
  for (const Probe& probe : probes_) {
    if (probe.check != check || probe.state.answer == HealthAnswer::kPassed) continue;
    if (probe.state.answer == HealthAnswer::kFailed) return probe.state;
    out.answer = HealthAnswer::kWaiting;
  }
  return out;
}

void MachineChecks::Look(const UpdateSubject& subject, HealthFacts& facts) {
  if (next_probe_ < probes_.size() && parts_.clock.Boot() >= next_round_) {
    Run(probes_[next_probe_++], subject);
    if (next_probe_ == probes_.size()) {
      next_probe_ = 0;
      next_round_ = After(parts_.clock, kAskEvery);
    }
  }
  for (const HealthCheck check : {HealthCheck::kUnits, HealthCheck::kProbes})
    facts[static_cast<size_t>(check)] = Summary(check);
}

std::vector<std::string> MachineChecks::ProgramsOf(const std::string& hook) const {
  const auto names = parts_.files.List(hook);
  if (!names) return {hook};
  std::vector<std::string> out;
  for (const std::string& name : *names)
    if (!name.starts_with('.')) out.push_back(hook + "/" + name);
  return out;
}

Result<Unit> MachineChecks::RunHook(Hook hook, const UpdateSubject& subject) {
  const std::string path(PathOf(settings_.hooks, hook));
  if (path.empty()) return Unit{};
  for (const std::string& program : ProgramsOf(path)) {
    const Result<Unit> ran =
        RunToSuccess(parts_.runner, {{program}, Environment(subject), settings_.hooks.timeout});
    Log(ran ? LogLevel::kInfo : LogLevel::kWarning, "update_hook",
        {{"hook", std::string(HookName(hook))},
         {"program", program},
         {"result", ran ? "done" : ran.error().ToString()}});
    if (!ran)
      return Error{Reason::kUnavailable, program + ": " + ran.error().ToString(),
                   Stopped(ran) ? kHookStopped : "update.hook"};
  }
  return Unit{};
}

// AskHook: before-install and before-reboot may postpone, but not past the deadline.
GateDecision MachineChecks::AskHook(Hook hook, const UpdateSubject& subject, Deadline deadline) {
  const Result<Unit> ran = RunHook(hook, subject);
  if (ran) return {true, "", ""};
  if (deadline != Deadline::kPassed || Stopped(ran))
    return {false, HookName(hook), ran.error().detail};
  return {true, "",
          "the deadline is past, not waited for: " + std::string(HookName(hook)) + ": " +
              ran.error().detail};
}

GateDecision MachineChecks::MayGoOn(const UpdateSubject& subject) const {
  const Deadline deadline = JudgeDeadline(subject.install_by, parts_.time());
  GateDecision window = InstallWindow();
  if (window.open || deadline != Deadline::kPassed)
    return ExplainDeadline(std::move(window), subject.install_by, deadline);
  return {
      true, "",
      "the deadline is past, not waited for: " + std::string(window.gate) + ": " + window.detail};
}

GateDecision MachineChecks::MayInstall(const UpdateSubject& subject) {
  GateDecision window = MayGoOn(subject);
  if (!window.open) return window;
  const Deadline deadline = JudgeDeadline(subject.install_by, parts_.time());
  GateDecision hook = AskHook(Hook::kBeforeInstall, subject, deadline);
  for (const GateDecision* decision : {&window, &hook}) LogOverride(*decision, subject, deadline);
  return ExplainDeadline(std::move(hook), subject.install_by, deadline);
}

// The command is asked again and again; the time runs from the first asking and from each time that
// something else held the reboot up.
Drain MachineChecks::LookAtWork(const UpdateSubject& subject, Deadline deadline) {
  if (settings_.drain.command.empty()) return Drain::kNone;
  const Duration now = parts_.clock.Boot();
  if (!draining_) {
    draining_ = now;
    next_drain_look_ = now;
  }
  const Duration wait = deadline == Deadline::kPassed
                            ? std::min(settings_.drain.timeout, kOverdueDrainMax)
                            : settings_.drain.timeout;
  const bool overdue = now.ms - draining_->ms >= wait.ms;
  if (!overdue && now < next_drain_look_) return Drain::kBusy;
  const Result<Unit> done = RunToSuccess(
      parts_.runner, {settings_.drain.command, Environment(subject), settings_.hooks.timeout});
  next_drain_look_ = After(parts_.clock, kAskEvery);
  if (done) return Drain::kNone;
  if (Stopped(done)) return Drain::kBusy;
  if (overdue)
    Log(LogLevel::kWarning, "drain_not_waited_for", {{"reason", done.error().ToString()}});
  return overdue ? Drain::kOverdue : Drain::kBusy;
}

GateDecision MachineChecks::JudgeReboot(const UpdateSubject& subject, Duration takes,
                                        Deadline deadline) {
  const TrustedTime::Reading time = parts_.time();
  RebootFacts facts{Inhibitors(), reboot_window_, time.now, time.sure,
                    takes,        Drain::kNone,   deadline};
  const GateDecision decision = device::JudgeReboot(facts);
  if (!decision.open) {
    draining_.reset();
    return decision;
  }
  const bool hook_waits = hook_again_ && parts_.clock.Boot() < *hook_again_;
  if (hook_waits && deadline != Deadline::kPassed)
    return {false, HookName(Hook::kBeforeReboot), hook_detail_};
  facts.drain = LookAtWork(subject, deadline);
  return device::JudgeReboot(facts);
}

GateDecision MachineChecks::MayReboot(const UpdateSubject& subject, Duration takes) {
  const Deadline deadline = JudgeDeadline(subject.install_by, parts_.time());
  GateDecision decision = JudgeReboot(subject, takes, deadline);
  if (!decision.open) return ExplainDeadline(std::move(decision), subject.install_by, deadline);
  GateDecision hook = AskHook(Hook::kBeforeReboot, subject, deadline);
  if (!hook.open) {
    hook_again_ = After(parts_.clock, kHookAgain);
    hook_detail_ = hook.detail;
    return ExplainDeadline(std::move(hook), subject.install_by, deadline);
  }
  LogOverride(hook, subject, deadline);
  LogOverride(decision, subject, deadline);
  return decision.detail.empty() ? hook : decision;
}

std::string MachineChecks::PreviousLog() {
  return device::PreviousLog(parts_.files, parts_.runner, settings_.previous_log);
}

std::vector<Inhibitor> MachineChecks::Inhibitors() const {
  std::vector<Inhibitor> out;
  AddInhibitors(parts_.files, state_ + "/inhibit", out);
  if (!settings_.inhibit.empty()) AddInhibitors(parts_.files, settings_.inhibit, out);
  return out;
}

GateDecision MachineChecks::InstallWindow() const {
  const TrustedTime::Reading time = parts_.time();
  return JudgeWindow(install_window_, time.now, time.sure, Duration{0});
}

GateDecision MachineChecks::RebootWindow(Duration takes) const {
  const TrustedTime::Reading time = parts_.time();
  return JudgeWindow(reboot_window_, time.now, time.sure, takes);
}

}  // namespace sallyport::device
