#include "policies/decision/window.h"

#include <algorithm>

namespace sallyport::policy {
namespace {

constexpr int64_t kDay = 86'400;
constexpr int64_t kHorizon = 8 * kDay;
constexpr int kMinutesPerDay = 1'440;

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// SecondsOpen returns for how many seconds of local civil time the interval stays open at `local`,
// 0 when closed.
int64_t SecondsOpen(const WeeklyRule& rule, int64_t local) {
  const int64_t day = FloorDiv(local, kDay);
  const int64_t second = local - day * kDay;
  // 1970-01-01 was a Thursday; bit 0 is Monday.
  const auto weekday = static_cast<int>(((day + 3) % 7 + 7) % 7);
  const auto listed = [&](int d) { return (rule.days >> ((d + 7) % 7) & 1) != 0; };
  const int64_t from = int64_t{rule.from_minute} * 60;
  const bool overnight = rule.to_minute <= rule.from_minute;
  const int64_t to = (int64_t{rule.to_minute} + (overnight ? kMinutesPerDay : 0)) * 60;
  if (listed(weekday) && second >= from && second < to) return to - second;
  if (overnight && listed(weekday - 1) && second + kDay < to) return to - kDay - second;
  return 0;
}

// WeeklyOpenUntil returns the end of the stretch that contains `utc`, or `utc` itself when closed.
int64_t WeeklyOpenUntil(const WeeklyRule& rule, int64_t utc) {
  const int64_t open = SecondsOpen(rule, utc + rule.rule.OffsetAt(utc));
  if (open == 0) return utc;
  const auto change = rule.rule.NextChange(utc);
  return change ? std::min(utc + open, *change) : utc + open;
}

int64_t AbsoluteOpenUntil(const AbsoluteInterval& interval, int64_t utc) {
  return interval.from.seconds() <= utc && utc < interval.to.seconds() ? interval.to.seconds()
                                                                       : utc;
}

}  // namespace

std::optional<UnixTime> OpenUntil(const WindowRule& window, UnixTime now) {
  const int64_t start = FloorDiv(now.ms, 1000);
  int64_t end = start;
  for (bool grew = true; grew && end < start + kHorizon;) {
    grew = false;
    for (const WeeklyRule& rule : window.weekly) {
      const int64_t until = WeeklyOpenUntil(rule, end);
      grew = grew || until > end;
      end = until;
    }
    for (const AbsoluteInterval& interval : window.absolute) {
      const int64_t until = AbsoluteOpenUntil(interval, end);
      grew = grew || until > end;
      end = until;
    }
  }
  if (end == start) return std::nullopt;
  return UnixTime::FromSeconds(std::min(end, start + kHorizon));
}

}  // namespace sallyport::policy
