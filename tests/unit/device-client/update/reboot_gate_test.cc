#include "device-client/update/reboot_gate.h"

#include <gtest/gtest.h>

namespace sallyport::device {
namespace {

constexpr uint8_t kMonday = 1;
constexpr uint8_t kSunday = 1 << 6;

Result<policy::ZoneRule> Zones(std::string_view name) {
  if (name == "local" || name == "Europe/Berlin")
    return policy::ZoneRule::Parse("CET-1CEST,M3.5.0,M10.5.0/3");
  return Error{Reason::kNotFound, "no such zone", "zone.unknown"};
}

UpdateWindow Window(uint8_t days, uint16_t start, Duration duration, std::string zone = "UTC") {
  return ResolveWindow({{days, start, duration, std::move(zone)}}, Zones);
}

UnixTime At(std::string_view text) { return *ParseRfc3339(text); }

GateDecision Judge(const UpdateWindow& window, std::string_view now, Duration takes = Minutes(15)) {
  return JudgeWindow(window, At(now), true, takes);
}

TEST(JudgeWindow, WithoutAWindowItIsAlwaysOpenAndNeedsNoTime) {
  EXPECT_TRUE(JudgeWindow(ResolveWindow({}, Zones), {}, false, Days(1)).open);
}

// 2026-11-23 is a Monday.
TEST(JudgeWindow, IsOpenFromItsStartWhileEnoughOfItIsLeft) {
  const UpdateWindow window = Window(kMonday, 120, Hours(3));
  EXPECT_FALSE(Judge(window, "2026-11-23T01:59:59Z").open);
  EXPECT_TRUE(Judge(window, "2026-11-23T02:00:00Z").open);
  EXPECT_TRUE(Judge(window, "2026-11-23T04:45:00Z").open);
  EXPECT_FALSE(Judge(window, "2026-11-23T04:45:01Z").open);
  EXPECT_EQ(Judge(window, "2026-11-23T04:45:01Z").gate, "window");
  EXPECT_NE(Judge(window, "2026-11-23T04:45:01Z").detail.find("15m"), std::string::npos);
  EXPECT_FALSE(Judge(window, "2026-11-24T02:00:00Z").open) << "Tuesday";
  EXPECT_EQ(Judge(window, "2026-11-24T02:00:00Z").detail, "closed");
}

TEST(JudgeWindow, RunsOverMidnightAndADayLong) {
  const UpdateWindow night = Window(kSunday, 23 * 60, Hours(2));
  EXPECT_TRUE(Judge(night, "2026-11-23T00:30:00Z").open) << "since Sunday 23:00";
  EXPECT_FALSE(Judge(night, "2026-11-24T00:30:00Z").open);
  const UpdateWindow day = Window(kMonday, 0, Days(1));
  EXPECT_TRUE(Judge(day, "2026-11-23T00:00:00Z").open);
  EXPECT_TRUE(Judge(day, "2026-11-23T23:44:00Z").open);
  EXPECT_FALSE(Judge(day, "2026-11-24T00:00:00Z").open);
}

TEST(JudgeWindow, IsReadInItsZoneWithSummerTime) {
  const UpdateWindow window = Window(kMonday, 120, Hours(3), "Europe/Berlin");
  EXPECT_TRUE(Judge(window, "2026-11-23T01:00:00Z").open) << "02:00 in winter";
  EXPECT_TRUE(Judge(window, "2026-07-20T00:00:00Z").open) << "02:00 in summer";
  EXPECT_FALSE(Judge(window, "2026-07-20T03:00:00Z").open) << "05:00 in summer";
}

TEST(JudgeWindow, StaysClosedWithoutTrustedTimeOrAKnownZone) {
  const UpdateWindow window = Window(kMonday, 0, Days(1));
  const GateDecision unsure = JudgeWindow(window, At("2026-11-23T02:00:00Z"), false, Minutes(1));
  EXPECT_FALSE(unsure.open);
  EXPECT_EQ(unsure.gate, "time");
  const UpdateWindow nowhere = Window(kMonday, 0, Days(1), "Mars/Olympus");
  EXPECT_FALSE(Judge(nowhere, "2026-11-23T02:00:00Z").open);
  EXPECT_NE(Judge(nowhere, "2026-11-23T02:00:00Z").detail.find("Mars/Olympus"), std::string::npos);
}

TEST(JudgeReboot, NamesTheFirstThatSaysNo) {
  const UpdateWindow closed = Window(kMonday, 0, Hours(1));
  const UpdateWindow open = Window(kMonday, 0, Days(1));
  RebootFacts facts{{{"backup", "until 3"}, {"surgeon", ""}},
                    closed,
                    At("2026-11-23T02:00:00Z"),
                    true,
                    Minutes(15),
                    Drain::kBusy};
  EXPECT_EQ(JudgeReboot(facts).gate, "inhibited");
  EXPECT_EQ(JudgeReboot(facts).detail, "backup: until 3; surgeon");
  facts.inhibitors.clear();
  EXPECT_EQ(JudgeReboot(facts).gate, "window");
  RebootFacts in_window{{}, open, facts.now, true, Minutes(15), Drain::kBusy};
  EXPECT_EQ(JudgeReboot(in_window).gate, "drain");
  for (const Drain drain : {Drain::kNone, Drain::kOverdue}) {
    in_window.drain = drain;
    EXPECT_TRUE(JudgeReboot(in_window).open);
  }
}

TEST(JudgeReboot, AnInhibitorOutlivesEveryTimeout) {
  RebootFacts facts{{{"surgeon", ""}}, UpdateWindow{}, {}, true, Minutes(15), Drain::kOverdue};
  EXPECT_FALSE(JudgeReboot(facts).open);
}

const UnixTime kDeadline = At("2026-12-01T12:00:00Z");

Deadline Stands(std::string_view now, bool sure, std::string_view floor = "2026-11-01T00:00:00Z") {
  return JudgeDeadline(kDeadline, {At(now), sure, At(floor)});
}

TEST(JudgeDeadline, IsPassedFromItsSecondOnAndNotBefore) {
  EXPECT_EQ(Stands("2026-12-01T11:59:59Z", true), Deadline::kAhead);
  EXPECT_EQ(Stands("2026-12-01T12:00:00Z", true), Deadline::kPassed);
  EXPECT_EQ(Stands("2026-12-01T12:00:01Z", true), Deadline::kPassed);
  EXPECT_EQ(JudgeDeadline({}, {kDeadline + Days(1), true}), Deadline::kNone);
}

TEST(JudgeDeadline, AnUnsureClockPassesNoneHoweverFarAheadItIsSet) {
  EXPECT_EQ(Stands("2039-01-01T00:00:00Z", false), Deadline::kUnknown);
  EXPECT_EQ(Stands("2039-01-01T00:00:00Z", false, "2026-12-01T11:59:59Z"), Deadline::kUnknown);
}

TEST(JudgeDeadline, WhatEarlierBootsLearntStaysTrueWhateverTheClockSays) {
  EXPECT_EQ(Stands("2000-01-01T00:00:00Z", false, "2026-12-01T12:00:00Z"), Deadline::kPassed);
  EXPECT_EQ(Stands("2026-12-01T11:59:59Z", true, "2026-12-01T12:00:00Z"), Deadline::kAhead)
      << "the server corrects what it said";
}

TEST(JudgeReboot, PastTheDeadlineNoWindowOrInhibitorHoldsItUp) {
  const UpdateWindow closed = Window(kMonday, 0, Hours(1));
  RebootFacts facts{
      {{"backup", "until 3"}}, closed, At("2026-11-23T02:00:00Z"), true, Minutes(15), Drain::kNone};
  for (const Deadline deadline : {Deadline::kNone, Deadline::kAhead, Deadline::kUnknown}) {
    facts.deadline = deadline;
    EXPECT_EQ(JudgeReboot(facts).gate, "inhibited") << DeadlineName(deadline);
  }
  facts.deadline = Deadline::kPassed;
  EXPECT_TRUE(JudgeReboot(facts).open);
  EXPECT_NE(JudgeReboot(facts).detail.find("inhibited: backup: until 3"), std::string::npos)
      << "it is not silent";
  facts.inhibitors.clear();
  facts.time_sure = false;
  EXPECT_TRUE(JudgeReboot(facts).open);
  facts.drain = Drain::kBusy;
  EXPECT_EQ(JudgeReboot(facts).gate, "drain") << "its time is bounded elsewhere";
}

TEST(JudgeReboot, SafetyOutlivesTheDeadline) {
  RebootFacts facts{{{"backup", ""}, {"press.safety", "the ram is up"}},
                    UpdateWindow{},
                    kDeadline,
                    true,
                    Minutes(15),
                    Drain::kOverdue,
                    Deadline::kPassed};
  EXPECT_FALSE(JudgeReboot(facts).open);
  EXPECT_EQ(JudgeReboot(facts).detail, "press.safety: the ram is up");
  facts.inhibitors = {{"safety", ""}, {"press.safety.bak", ""}};
  EXPECT_TRUE(JudgeReboot(facts).open);
}

TEST(ExplainDeadline, SaysUntilWhenAClosedGateHolds) {
  const auto said = [](Deadline deadline) {
    return ExplainDeadline({false, "window", "closed"}, kDeadline, deadline).detail;
  };
  EXPECT_EQ(said(Deadline::kAhead), "closed (until 2026-12-01T12:00:00Z at the latest)");
  EXPECT_NE(said(Deadline::kUnknown).find("has not told the time"), std::string::npos);
  EXPECT_EQ(said(Deadline::kPassed), "closed (past the deadline of 2026-12-01T12:00:00Z)");
  EXPECT_EQ(ExplainDeadline({false, "window", "closed"}, {}, Deadline::kNone).detail, "closed");
  EXPECT_EQ(ExplainDeadline({true, "", ""}, kDeadline, Deadline::kAhead).detail, "");
}

TEST(RebootTakes, IsTheConfiguredTimeElseHalfAsMuchAgainAsNearlyAllPastOnesTook) {
  EXPECT_EQ(RebootTakes(Minutes(7), {Minutes(60)}), Minutes(7));
  EXPECT_EQ(RebootTakes({}, {}), kRebootTakesUnknown);
  EXPECT_EQ(RebootTakes({}, {Minutes(4)}), Minutes(6));
  std::vector<Duration> past(19, Minutes(2));
  past.push_back(Minutes(40));
  EXPECT_EQ(RebootTakes({}, past), Minutes(3)) << "one of twenty is the outlier";
  past.push_back(Minutes(40));
  EXPECT_EQ(RebootTakes({}, past), Minutes(60)) << "two are not";
}

}  // namespace
}  // namespace sallyport::device
