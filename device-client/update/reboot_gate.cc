#include "device-client/update/reboot_gate.h"

#include <algorithm>

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

}  // namespace

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
  if (!facts.inhibitors.empty()) return {false, "inhibited", Names(facts.inhibitors)};
  GateDecision window = JudgeWindow(facts.window, facts.now, facts.time_sure, facts.takes);
  if (!window.open) return window;
  if (facts.drain == Drain::kBusy) return {false, "drain", "the node's work goes on"};
  return {true, "", facts.drain == Drain::kOverdue ? "the work was not waited for longer" : ""};
}

Duration RebootTakes(std::optional<Duration> configured, std::vector<Duration> past) {
  if (configured) return *configured;
  if (past.empty()) return kRebootTakesUnknown;
  std::ranges::sort(past);
  const auto rank = (past.size() * kPercentile + 99) / 100;  // nearest rank, 1-based
  return Duration{past[rank - 1].ms * 3 / 2};
}

}  // namespace sallyport::device
