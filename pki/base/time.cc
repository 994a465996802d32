#include "pki/base/time.h"

#include <array>
#include <charconv>
#include <chrono>
#include <ctime>

namespace sallyport {
namespace {

Error BadTime() { return Error{Reason::kMalformed, "not an RFC 3339 time"}; }

Result<int> Digits(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return BadTime();
  int value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return BadTime();
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// ParseZone returns the offset from UTC in minutes of "Z" or "+hh:mm".
Result<int> ParseZone(std::string_view zone) {
  if (zone == "Z") return 0;
  if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':') return BadTime();
  SP_TRY(const int hours, Digits(zone, 1, 2));
  SP_TRY(const int minutes, Digits(zone, 4, 2));
  if (hours > 23 || minutes > 59) return BadTime();
  return (zone[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
}

struct DurationUnit {
  std::string_view suffix;
  int64_t ms;
};
constexpr std::array<DurationUnit, 5> kUnits{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

Duration ReadClock(clockid_t id) {
  timespec now{};
  SP_CHECK(clock_gettime(id, &now) == 0);
  return {now.tv_sec * 1000 + now.tv_nsec / 1'000'000};
}

}  // namespace

std::string FormatRfc3339(UnixTime time) {
  const std::chrono::sys_seconds at{
      std::chrono::floor<std::chrono::seconds>(std::chrono::milliseconds(time.ms))};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{at - day};
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02ld:%02ld:%02ldZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(),
                static_cast<long>(clock.seconds().count()));
  return text.data();
}

Result<UnixTime> ParseRfc3339(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':')
    return BadTime();
  SP_TRY(const int year, Digits(text, 0, 4));
  SP_TRY(const int month, Digits(text, 5, 2));
  SP_TRY(const int day, Digits(text, 8, 2));
  SP_TRY(const int hour, Digits(text, 11, 2));
  SP_TRY(const int minute, Digits(text, 14, 2));
  SP_TRY(const int second, Digits(text, 17, 2));
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return BadTime();
  std::string_view rest = text.substr(19);
  int64_t fraction_ms = 0;
  if (rest.starts_with('.')) {
    size_t end = 1;
    int64_t scale = 100;
    for (; end < rest.size() && rest[end] >= '0' && rest[end] <= '9'; ++end, scale /= 10)
      fraction_ms += (rest[end] - '0') * scale;
    if (end == 1) return BadTime();
    rest.remove_prefix(end);
  }
  SP_TRY(const int zone_minutes, ParseZone(rest));
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const int64_t seconds = days * 86'400 + hour * 3600 + (minute - zone_minutes) * 60 + second;
  return UnixTime{seconds * 1000 + fraction_ms};
}

Result<Duration> ParseDuration(std::string_view text) {
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view suffix(end, static_cast<size_t>(text.data() + text.size() - end));
  for (const DurationUnit& unit : kUnits) {
    if (error != std::errc() || suffix != unit.suffix || count <= 0 ||
        count > INT64_MAX / 4 / unit.ms)
      continue;
    return Duration{count * unit.ms};
  }
  return Error{Reason::kMalformed, "not a duration such as 90s, 10m, 24h or 7d"};
}

std::string FormatDuration(Duration duration) {
  for (const DurationUnit& unit : kUnits)
    if (duration.ms % unit.ms == 0)
      return std::to_string(duration.ms / unit.ms) + std::string(unit.suffix);
  std::abort();
}

UnixTime RealClock::Wall() const { return {ReadClock(CLOCK_REALTIME).ms}; }
Duration RealClock::Boot() const { return ReadClock(CLOCK_BOOTTIME); }

}  // namespace sallyport
