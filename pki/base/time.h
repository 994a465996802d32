// UnixTime, its text form, and the three clocks, kept apart on purpose.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "pki/base/result.h"

namespace sallyport {

// UnixTime is milliseconds since 1970-01-01T00:00:00Z.
struct UnixTime {
  int64_t ms = 0;
  auto operator<=>(const UnixTime&) const = default;
  constexpr int64_t seconds() const { return ms / 1000; }
  static constexpr UnixTime FromSeconds(int64_t s) { return {s * 1000}; }
};

// Duration is signed milliseconds.
struct Duration {
  int64_t ms = 0;
  auto operator<=>(const Duration&) const = default;
};
constexpr Duration Milliseconds(int64_t n) { return {n}; }
constexpr Duration Seconds(int64_t n) { return {n * 1000}; }
constexpr Duration Minutes(int64_t n) { return Seconds(n * 60); }
constexpr Duration Hours(int64_t n) { return Minutes(n * 60); }
constexpr Duration Days(int64_t n) { return Hours(n * 24); }
constexpr UnixTime operator+(UnixTime t, Duration d) { return {t.ms + d.ms}; }
constexpr UnixTime operator-(UnixTime t, Duration d) { return {t.ms - d.ms}; }
constexpr Duration operator-(UnixTime a, UnixTime b) { return {a.ms - b.ms}; }

// FormatRfc3339 writes whole seconds in UTC: 2026-11-21T01:02:03Z.
std::string FormatRfc3339(UnixTime time);
// ParseRfc3339 accepts an upper-case T, a zone (Z or +hh:mm) and optional fractions; kMalformed
// otherwise.
Result<UnixTime> ParseRfc3339(std::string_view text);
// ParseDuration accepts a positive integer and one unit: 500ms, 90s, 10m, 24h, 7d. kMalformed
// otherwise.
Result<Duration> ParseDuration(std::string_view text);
// FormatDuration writes the largest unit that divides exactly ("10m"), the inverse of
// ParseDuration.
std::string FormatDuration(Duration duration);

// Clock is the seam for time; only shells hold one, cores take `now`. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall may jump either way; never used on a device to judge leases.
  virtual UnixTime Wall() const = 0;
  // Boot counts since boot and during suspend (CLOCK_BOOTTIME); never goes back within a boot.
  virtual Duration Boot() const = 0;
};

// RealClock is constructed in composition roots only.
class RealClock final : public Clock {
 public:
  UnixTime Wall() const override;
  Duration Boot() const override;
};

}  // namespace sallyport
