#include "device-client/update/bandwidth.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/fakes/fake_clock.h"

namespace sallyport::device {
namespace {

TEST(ParseByteRate, ReadsDecimalUnits) {
  EXPECT_EQ(*ParseByteRate("0B/s"), 0u);
  EXPECT_EQ(*ParseByteRate("16KB/s"), 16'000u);
  EXPECT_EQ(*ParseByteRate("10MB/s"), 10'000'000u);
  EXPECT_EQ(*ParseByteRate("1000000GB/s"), 1'000'000'000'000'000u);
  EXPECT_EQ(*ParseByteCount("4GB"), 4'000'000'000u);
}

TEST(ParseByteRate, RefusesEverythingElse) {
  for (const char* text :
       {"", "10", "10MB", "MB/s", "-1MB/s", "1.5MB/s", "10 MB/s", "10mb/s", "10MiB/s", "10Mb/s",
        "10MB/s ", "1000001GB/s", "18446744073709551616B/s"})
    EXPECT_FALSE(ParseByteRate(text)) << text;
}

TEST(ParseTimeOfDay, ReadsMinutesSinceMidnight) {
  EXPECT_EQ(*ParseTimeOfDay("00:00"), 0);
  EXPECT_EQ(*ParseTimeOfDay("22:30"), 22 * 60 + 30);
  EXPECT_EQ(*ParseTimeOfDay("23:59"), kMinutesPerDay - 1);
}

TEST(ParseTimeOfDay, RefusesEverythingElse) {
  for (const char* text :
       {"", "24:00", "12:60", "1:00", "01:0", "01-00", "0100", "+1:00", "01:00 "})
    EXPECT_FALSE(ParseTimeOfDay(text)) << text;
}

TEST(BandwidthPlan, HoldsFromItsFirstMinuteToTheOneBeforeItsEnd) {
  const BandwidthPlan plan({{8 * 60, 18 * 60, 100'000}});
  EXPECT_EQ(plan.At(8 * 60 - 1), kUnlimitedRate);
  EXPECT_EQ(plan.At(8 * 60), 100'000u);
  EXPECT_EQ(plan.At(18 * 60 - 1), 100'000u);
  EXPECT_EQ(plan.At(18 * 60), kUnlimitedRate);
}

TEST(BandwidthPlan, GoesOverMidnight) {
  const BandwidthPlan plan({{22 * 60, 6 * 60, 0}});
  EXPECT_EQ(plan.At(22 * 60 - 1), kUnlimitedRate);
  EXPECT_EQ(plan.At(23 * 60), 0u);
  EXPECT_EQ(plan.At(0), 0u);
  EXPECT_EQ(plan.At(6 * 60), kUnlimitedRate);
}

TEST(BandwidthPlan, TakesTheLowestOfThoseThatOverlap) {
  const BandwidthPlan plan({{0, 0, 500'000}, {22 * 60, 6 * 60, kUnlimitedRate}, {60, 120, 20'000}});
  EXPECT_EQ(plan.At(12 * 60), 500'000u);
  EXPECT_EQ(plan.At(23 * 60), 500'000u);
  EXPECT_EQ(plan.At(90), 20'000u);
}

TEST(BandwidthPlan, IsStrictestForADeviceThatDoesNotKnowTheTime) {
  EXPECT_EQ(BandwidthPlan({{0, 60, 20'000}, {60, 120, 0}}).Strictest(), 0u);
  EXPECT_EQ(BandwidthPlan().Strictest(), kUnlimitedRate);
}

// The offset of a zone is not its rule: the same minute of the day on both sides of the change.
TEST(MinuteOfDay, FollowsTheZoneThroughTheChangeToSummerTime) {
  const char* const before = std::getenv("TZ");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("TZ", "Europe/Berlin", 1);
  ::tzset();
  EXPECT_EQ(MinuteOfDay(*ParseRfc3339("2026-03-28T21:00:00Z")), 22 * 60);
  EXPECT_EQ(MinuteOfDay(*ParseRfc3339("2026-03-29T20:00:00Z")), 22 * 60);
  EXPECT_EQ(MinuteOfDay(*ParseRfc3339("2026-03-29T00:59:00Z")), 60 + 59);
  EXPECT_EQ(MinuteOfDay(*ParseRfc3339("2026-03-29T01:00:00Z")), 3 * 60);
  kept.empty() ? ::unsetenv("TZ") : ::setenv("TZ", kept.c_str(), 1);
  ::tzset();
}

class PacerTest : public ::testing::Test {
 protected:
  FakeClock clock{UnixTime{}};
  uint64_t limit = 100'000;
  Pacer pacer{clock, [this] { return limit; }, [this](Duration time) { clock.Advance(time); }};
};

TEST_F(PacerTest, HoldsReadersToTheLimit) {
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(pacer.Take(10'000));
  EXPECT_GE(clock.Boot(), Milliseconds(9'500));
  EXPECT_LE(clock.Boot(), Milliseconds(10'500));
}

TEST_F(PacerTest, SaysHowLongItHeldAReader) {
  clock.Advance(Seconds(10));
  ASSERT_TRUE(pacer.Take(100'000));
  // A quarter of a second is what it may use at once.
  EXPECT_EQ(*pacer.Take(1), Milliseconds(750));
}

TEST_F(PacerTest, HoldsNobodyWithoutALimit) {
  limit = kUnlimitedRate;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pacer.Take(1 << 30)->ms, 0);
  EXPECT_EQ(clock.Boot(), Duration{});
}

TEST_F(PacerTest, TakesANewLimitAtOnce) {
  ASSERT_TRUE(pacer.Take(100'000'000));  // a thousand seconds at this limit
  limit = kUnlimitedRate;
  EXPECT_EQ(pacer.Take(1)->ms, 0);
}

TEST_F(PacerTest, RefusesWhileDownloadsAreClosed) {
  limit = 0;
  EXPECT_EQ(pacer.Take(1).error().rule, "download.closed");
  limit = 100'000;
  EXPECT_TRUE(pacer.Take(1));
}

TEST_F(PacerTest, RefusesAfterStop) {
  pacer.Stop();
  EXPECT_EQ(pacer.Take(1).error().rule, "update.stopping");
}

TEST_F(PacerTest, GivesNoCreditForIdleTime) {
  clock.Advance(Hours(1));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(pacer.Take(100'000));
  EXPECT_GE(clock.Boot(), Duration{Hours(1).ms + 8'000});
}

}  // namespace
}  // namespace sallyport::device
