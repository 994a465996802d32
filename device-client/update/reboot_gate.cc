#include "device-client/update/reboot_gate.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace sallyport::device {
namespace {

constexpr int kMinutesPerDay = 24 * 60;
constexpr int64_t kPercentile = 95;

std::string Names(const std::vector<Inhibitor>& inhibitors) {
  std::string out;
  for (const Inhibitor& inhibitor : inhibitors)
    out += (out.empty() ? "" : "; ") + inhibitor.who +
           (inhibitor.why.empty() ? "" : ": " + inhibitor.why);
  return out;
}

GateDecision JudgeRules(const RebootFacts& facts) {
  if (!facts.inhibitors.empty()) return {false, "inhibited", Names(facts.inhibitors)};
  return JudgeWindow(facts.window, facts.now, facts.time_sure, facts.takes);
}

// Override is what is left of `rules`, which say no, once the deadline is past.
GateDecision Override(const GateDecision& rules, const std::vector<Inhibitor>& inhibitors) {
  std::vector<Inhibitor> safety;
  std::ranges::copy_if(inhibitors, std::back_inserter(safety), [](const Inhibitor& inhibitor) {
    return inhibitor.who.ends_with(kSafetySuffix);
  });
  if (!safety.empty()) return {false, "inhibited", Names(safety)};
  return {true, "",
          "the deadline is past, not waited for: " + std::string(rules.gate) + ": " + rules.detail};
}

}  // namespace

std::string_view DeadlineName(Deadline deadline) {
  switch (deadline) {
    case Deadline::kNone: return "none";
    case Deadline::kAhead: return "ahead";
    case Deadline::kUnknown: return "unknown";
    case Deadline::kPassed: return "passed";
  }
  std::abort();
}

Deadline JudgeDeadline(std::optional<UnixTime> install_by, const TrustedTime::Reading& time) {
  if (!install_by) return Deadline::kNone;
  if (time.AtLeast() >= *install_by) return Deadline::kPassed;
  return time.sure ? Deadline::kAhead : Deadline::kUnknown;
}

UpdateWindow ResolveWindow(const std::vector<WeeklyWindow>& windows,
                           const policy::ZoneLookup& zones) {
  UpdateWindow out;
  for (const WeeklyWindow& window : windows) {
    Result<policy::ZoneRule> zone =
        window.zone == "UTC" ? policy::ZoneRule::Parse("UTC0") : zones(window.zone);
    if (!zone) {
      out.unknown_zone = window.zone;
      continue;
    }
    const int64_t end = window.start_minute + window.duration.ms / Minutes(1).ms;
    out.weekly.push_back({window.days, window.start_minute,
                          static_cast<uint16_t>(end % kMinutesPerDay), window.zone,
                          *std::move(zone)});
  }
  return out;
}

GateDecision JudgeWindow(const UpdateWindow& window, UnixTime now, bool time_sure, Duration takes) {
  if (window.always()) return {true, "", ""};
  if (!time_sure) return {false, "time", "the server has not told the time in this boot"};
  const std::optional<UnixTime> until = policy::OpenUntil({window.weekly, {}}, now);
  if (!until)
    return {false, "window",
            window.unknown_zone.empty() ? "closed" : "unknown time zone " + window.unknown_zone};
  if (*until - now < takes)
    return {false, "window", "less of it is left than the " + FormatDuration(takes) + " it takes"};
  return {true, "", ""};
}

GateDecision JudgeReboot(const RebootFacts& facts) {
  GateDecision decision = JudgeRules(facts);
  if (!decision.open && facts.deadline == Deadline::kPassed)
    decision = Override(decision, facts.inhibitors);
  if (!decision.open) return decision;
  if (facts.drain == Drain::kBusy) return {false, "drain", "the node's work goes on"};
  if (facts.drain == Drain::kOverdue)
    decision.detail +=
        (decision.detail.empty() ? "" : "; ") + std::string("the work was not waited for longer");
  return decision;
}

GateDecision ExplainDeadline(GateDecision decision, std::optional<UnixTime> install_by,
                             Deadline deadline) {
  if (decision.open || !install_by) return decision;
  const std::string time = FormatRfc3339(*install_by);
  switch (deadline) {
    case Deadline::kNone: break;
    case Deadline::kAhead: decision.detail += " (until " + time + " at the latest)"; break;
    case Deadline::kUnknown:
      decision.detail += " (until " + time + ", but the server has not told the time in this boot)";
      break;
    case Deadline::kPassed: decision.detail += " (past the deadline of " + time + ")"; break;
  }
  return decision;
}

Duration RebootTakes(std::optional<Duration> configured, std::vector<Duration> past) {
  if (configured) return *configured;
  if (past.empty()) return kRebootTakesUnknown;
  std::ranges::sort(past);
  const auto rank = (past.size() * kPercentile + 99) / 100;  // nearest rank, 1-based
  return Duration{past[rank - 1].ms * 3 / 2};
}

}  // namespace sallyport::device
