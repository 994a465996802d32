#include "policies/decision/window.h"

#include "tests/unit/policies/decision/policy_fixture.h"

namespace sallyport::policy {
namespace {

WindowRule Weekly(uint8_t days, int from, int to,
                  std::string_view rule = "CET-1CEST,M3.5.0,M10.5.0/3") {
  return {{{days, static_cast<uint16_t>(from), static_cast<uint16_t>(to), "test",
            *ZoneRule::Parse(rule)}},
          {}};
}
std::string Until(const WindowRule& window, std::string_view now) {
  const auto until = OpenUntil(window, At(now));
  return until ? FormatRfc3339(*until) : "closed";
}
constexpr uint8_t kSunday = 1 << 6;
constexpr uint8_t kEveryDay = 127;

TEST(OpenUntil, AnHourTheClocksSkipDoesNotExist) {
  const WindowRule window =
      Weekly(kSunday, 150, 210);  // 02:30 to 03:30 on 29 March 2026, clocks jump 02 -> 03
  EXPECT_EQ(Until(window, "2026-03-29T00:59:59Z"), "closed");
  EXPECT_EQ(Until(window, "2026-03-29T01:00:00Z"), "2026-03-29T01:30:00Z");
  EXPECT_EQ(Until(window, "2026-03-29T01:30:00Z"), "closed");
}

TEST(OpenUntil, AnHourTheClocksRepeatCountsTwice) {
  const WindowRule window = Weekly(kSunday, 120, 150);  // 02:00 to 02:30 on 25 October 2026, twice
  EXPECT_EQ(Until(window, "2026-10-25T00:10:00Z"), "2026-10-25T00:30:00Z");
  EXPECT_EQ(Until(window, "2026-10-25T00:40:00Z"), "closed");
  EXPECT_EQ(Until(window, "2026-10-25T01:10:00Z"), "2026-10-25T01:30:00Z");
  EXPECT_EQ(Until(window, "2026-10-25T01:30:00Z"), "closed");
}

TEST(OpenUntil, OvernightWindowsBelongToTheDayTheyStart) {
  const WindowRule window = Weekly(kSunday, 22 * 60, 4 * 60, "UTC0");
  EXPECT_EQ(Until(window, "2026-11-22T21:59:59Z"), "closed");
  EXPECT_EQ(Until(window, "2026-11-22T22:00:00Z"), "2026-11-23T04:00:00Z");
  EXPECT_EQ(Until(window, "2026-11-23T03:59:59Z"), "2026-11-23T04:00:00Z");
  EXPECT_EQ(Until(window, "2026-11-22T03:00:00Z"), "closed");
}

TEST(OpenUntil, AdjacentIntervalsAreOneStretch) {
  WindowRule window = Weekly(kSunday, 60, 120, "UTC0");
  window.weekly.push_back(Weekly(kSunday, 120, 180, "UTC0").weekly[0]);
  window.absolute.push_back({At("2026-11-22T03:00:00Z"), At("2026-11-22T05:00:00Z")});
  EXPECT_EQ(Until(window, "2026-11-22T01:30:00Z"), "2026-11-22T05:00:00Z");
}

TEST(OpenUntil, LooksEightDaysAhead) {
  EXPECT_EQ(Until(Weekly(kEveryDay, 0, 1440, "UTC0"), "2026-11-21T12:00:00Z"),
            "2026-11-29T12:00:00Z");
  EXPECT_EQ(Until(Weekly(kEveryDay, 0, 1440), "2026-10-24T12:00:00Z"), "2026-11-01T12:00:00Z");
}

TEST(OpenUntil, AWindowOfNothingIsClosed) {
  EXPECT_EQ(Until({}, "2026-11-21T12:00:00Z"), "closed");
}

}  // namespace
}  // namespace sallyport::policy
