#include "policies/language/zone_rule.h"

#include <algorithm>
#include <chrono>

namespace sallyport::policy {
namespace {

constexpr int64_t kDay = 86'400;
// Transitions before this are history and need not follow the rule: 2026-01-01T00:00:00Z.
constexpr int64_t kRuleFrom = 1'767'225'600;
// Real zone rules are below 60 bytes.
constexpr size_t kRuleSizeMax = 128;

int YearOf(int64_t utc) {
  const auto day =
      std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(std::chrono::seconds(utc)));
  return static_cast<int>(std::chrono::year_month_day(day).year());
}

int64_t SecondsOf(std::chrono::sys_days day) {
  return std::chrono::duration_cast<std::chrono::seconds>(day.time_since_epoch()).count();
}

}  // namespace

// ZoneParser reads the grammar of POSIX.1-2017 8.3 (TZ) with the extension of RFC 8536 3.3.1 for
// hours.
class ZoneParser {
 public:
  explicit ZoneParser(std::string_view text) : rest_(text) {}

  std::optional<ZoneRule> Rule() {
    ZoneRule rule;
    rule.text_ = std::string(rest_);
    if (rest_.size() > kRuleSizeMax || !Abbreviation()) return std::nullopt;
    const auto standard = Time(24);
    if (!standard) return std::nullopt;
    rule.standard_ = rule.summer_ = -*standard;
    if (rest_.empty()) return rule;
    if (!Abbreviation()) return std::nullopt;
    rule.has_summer_ = true;
    rule.summer_ = rule.standard_ + 3600;
    if (!rest_.empty() && rest_[0] != ',') {
      const auto summer = Time(24);
      if (!summer) return std::nullopt;
      rule.summer_ = -*summer;
    }
    if (!Day(rule.start_) || !Day(rule.end_) || !rest_.empty()) return std::nullopt;
    return rule;
  }

 private:
  bool Take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool Abbreviation() {
    const bool quoted = Take('<');
    size_t length = 0;
    const auto letter = [&](char c) {
      const bool alpha = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      return alpha || (quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'));
    };
    while (length < rest_.size() && letter(rest_[length])) ++length;
    rest_.remove_prefix(length);
    return length >= 3 && (!quoted || Take('>'));
  }
  std::optional<int> Number(int min, int max) {
    int value = 0;
    size_t length = 0;
    while (length < rest_.size() && length < 3 && rest_[length] >= '0' && rest_[length] <= '9')
      value = value * 10 + (rest_[length++] - '0');
    rest_.remove_prefix(length);
    if (length == 0 || value < min || value > max) return std::nullopt;
    return value;
  }
  // Time reads [+-]h[h[h]][:mm[:ss]] as seconds.
  std::optional<int64_t> Time(int hours_max) {
    const bool negative = Take('-');
    if (!negative) Take('+');
    const auto hours = Number(0, hours_max);
    if (!hours) return std::nullopt;
    int64_t seconds = int64_t{*hours} * 3600;
    for (const int unit : {60, 1}) {
      if (!Take(':')) break;
      const auto part = Number(0, 59);
      if (!part) return std::nullopt;
      seconds += int64_t{*part} * unit;
    }
    return negative ? -seconds : seconds;
  }
  bool Day(ZoneRule::ChangeDay& day) {
    using Kind = ZoneRule::ChangeDay::Kind;
    if (!Take(',')) return false;
    if (Take('M')) {
      day.kind = Kind::kMonthWeekDay;
      if (!Put(day.month, 1, 12) || !Take('.') || !Put(day.week, 1, 5) || !Take('.') ||
          !Put(day.day, 0, 6))
        return false;
    } else {
      day.kind = Take('J') ? Kind::kJulian : Kind::kZeroBased;
      if (!Put(day.day, day.kind == Kind::kJulian ? 1 : 0, 365)) return false;
    }
    if (!Take('/')) return true;
    const auto time = Time(167);
    day.seconds = time.value_or(0);
    return time.has_value();
  }
  bool Put(int& target, int min, int max) {
    const auto value = Number(min, max);
    target = value.value_or(0);
    return value.has_value();
  }

  std::string_view rest_;
};

Result<ZoneRule> ZoneRule::Parse(std::string_view text) {
  auto rule = ZoneParser(text).Rule();
  if (!rule)
    return Error{Reason::kMalformed,
                 "not a time zone rule: '" + std::string(text.substr(0, kRuleSizeMax)) + "'",
                 "zone.rule"};
  return *std::move(rule);
}

int64_t ZoneRule::DayStart(const ChangeDay& day, int year) {
  using std::chrono::sys_days;
  const std::chrono::year y(year);
  if (day.kind == ChangeDay::Kind::kMonthWeekDay) {
    const std::chrono::weekday weekday(static_cast<unsigned>(day.day));
    const auto month = y / std::chrono::month(static_cast<unsigned>(day.month));
    if (day.week == 5) return SecondsOf(sys_days(month / weekday[std::chrono::last]));
    return SecondsOf(sys_days(month / weekday[static_cast<unsigned>(day.week)]));
  }
  int64_t index = day.day;
  // Julian days 1..365 never count 29 February.
  if (day.kind == ChangeDay::Kind::kJulian) index += (y.is_leap() && day.day >= 60) ? 0 : -1;
  return SecondsOf(sys_days(y / std::chrono::January / 1)) + index * kDay;
}

std::array<ZoneRule::Change, 6> ZoneRule::ChangesAround(int64_t utc) const {
  std::array<Change, 6> changes{};
  const int year = YearOf(utc);
  for (int i = 0; i < 3; ++i) {
    const int y = year - 1 + i;
    changes[static_cast<size_t>(2 * i)] = {DayStart(start_, y) + start_.seconds - standard_,
                                           summer_};
    changes[static_cast<size_t>(2 * i + 1)] = {DayStart(end_, y) + end_.seconds - summer_,
                                               standard_};
  }
  std::ranges::sort(changes, {}, &Change::at);
  return changes;
}

int64_t ZoneRule::OffsetAt(int64_t utc) const {
  if (!has_summer_) return standard_;
  int64_t offset = standard_;
  for (const Change& change : ChangesAround(utc))
    if (change.at <= utc) offset = change.offset;
  return offset;
}

std::optional<int64_t> ZoneRule::NextChange(int64_t utc) const {
  if (!has_summer_) return std::nullopt;
  for (const Change& change : ChangesAround(utc))
    if (change.at > utc) return change.at;
  return std::nullopt;
}

namespace {

struct TzifHeader {
  uint8_t version = 0;
  uint32_t is_ut = 0, is_std = 0, leaps = 0, times = 0, types = 0, characters = 0;
  uint64_t BodySize(uint64_t time_size) const {
    return times * (time_size + 1) + types * uint64_t{6} + characters + leaps * (time_size + 4) +
           is_std + is_ut;
  }
};

Result<TzifHeader> ReadHeader(ByteReader& reader) {
  SP_TRY(const ByteView magic, reader.Take(4));
  if (sallyport::AsText(magic) != "TZif")
    return Error{Reason::kMalformed, "no TZif file", "zone.tzif"};
  TzifHeader header;
  SP_TRY(header.version, reader.U8());
  SP_TRY(reader.Take(15));
  for (uint32_t* count : {&header.is_ut, &header.is_std, &header.leaps, &header.times,
                          &header.types, &header.characters}) {
    SP_TRY(*count, reader.BigU32());
  }
  return header;
}

// CheckTransitions compares the file's explicit transitions from 2026 on with the rule.
Result<Unit> CheckTransitions(const ZoneRule& rule, const TzifHeader& header, ByteView body) {
  ByteReader times(body.first(header.times * size_t{8}), "tzif times");
  const ByteView indices = body.subspan(header.times * size_t{8}, header.times);
  const ByteView types = body.subspan(header.times * size_t{9}, header.types * size_t{6});
  for (const uint8_t index : indices) {
    SP_TRY(const uint64_t raw, times.BigU64());
    const auto at = static_cast<int64_t>(raw);
    if (at < kRuleFrom) continue;
    if (index >= header.types)
      return Error{Reason::kMalformed, "transition without a type", "zone.tzif"};
    ByteReader type(types.subspan(index * size_t{6}, 4), "tzif type");
    SP_TRY(const uint32_t offset, type.BigU32());
    if (rule.OffsetAt(at) != static_cast<int32_t>(offset))
      return Error{Reason::kUnsupported, "its clock changes follow no fixed rule", "zone.no-rule"};
  }
  return Ok();
}

}  // namespace

Result<ZoneRule> ZoneRule::FromTzif(ByteView file) {
  ByteReader reader(file, "tzif");
  SP_TRY(const TzifHeader old, ReadHeader(reader));
  if (old.version < '2')
    return Error{Reason::kUnsupported, "TZif version 1 has no rule", "zone.tzif"};
  SP_TRY(reader.Take(old.BodySize(4)));
  SP_TRY(const TzifHeader header, ReadHeader(reader));
  SP_TRY(const ByteView body, reader.Take(header.BodySize(8)));
  std::string_view footer = sallyport::AsText(reader.rest());
  if (footer.size() < 2 || footer.front() != '\n' || footer.back() != '\n')
    return Error{Reason::kMalformed, "no footer", "zone.tzif"};
  footer.remove_prefix(1);
  footer.remove_suffix(1);
  SP_TRY(ZoneRule rule, Parse(footer));
  SP_TRY(CheckTransitions(rule, header, body));
  return rule;
}

}  // namespace sallyport::policy
