// A time zone as the one line of text that says how its clocks move from now on: the POSIX TZ rule
// at the end of each TZif file (RFC 8536 3.3), such as `CET-1CEST,M3.5.0,M10.5.0/3`. Signed grants
// carry the rule, so that server and device judge a window alike whatever zone database they have.
// Pure.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "pki/base/bytes.h"

namespace sallyport::policy {

class ZoneRule {
 public:
  // Parse returns kMalformed for anything but a complete rule.
  static Result<ZoneRule> Parse(std::string_view text);
  // FromTzif takes the rule of a TZif file (version 2 or later). kMalformed; kUnsupported when the
  // file's own transitions from 2026 on are not what the rule says (zones whose changes follow no
  // rule).
  static Result<ZoneRule> FromTzif(ByteView file);

  const std::string& text() const { return text_; }
  // OffsetAt is local time minus UTC, in seconds, at a Unix time in seconds.
  int64_t OffsetAt(int64_t utc) const;
  // NextChange is the first instant after `utc` at which the offset changes; nothing in zones
  // without DST.
  std::optional<int64_t> NextChange(int64_t utc) const;

 private:
  struct ChangeDay {
    enum class Kind : uint8_t { kMonthWeekDay, kJulian, kZeroBased };
    Kind kind = Kind::kZeroBased;
    int month = 0;
    int week = 0;
    int day = 0;
    int64_t seconds = 2 * 3600;  // local time of day; may be negative or beyond a day
  };
  struct Change {
    int64_t at;
    int64_t offset;
  };
  friend class ZoneParser;
  ZoneRule() = default;
  static int64_t DayStart(const ChangeDay& day, int year);
  // ChangesAround lists the six changes of the year of `utc` and its neighbours, in order.
  std::array<Change, 6> ChangesAround(int64_t utc) const;

  std::string text_;
  int64_t standard_ = 0;
  int64_t summer_ = 0;
  bool has_summer_ = false;
  ChangeDay start_;
  ChangeDay end_;
};

// ZoneLookup finds the rule of an IANA zone: kNotFound for an unknown name.
using ZoneLookup = std::function<Result<ZoneRule>(std::string_view name)>;

}  // namespace sallyport::policy
