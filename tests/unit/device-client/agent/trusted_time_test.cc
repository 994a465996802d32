#include "device-client/agent/trusted_time.h"

#include "tests/fakes/fake_clock.h"

namespace sallyport::device {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'800'000'000);

TEST(TrustedTime, IsUnsureBeforeTheServerWasHeard) {
  FakeClock clock(kNow);
  EXPECT_FALSE(TrustedTime(clock, UnixTime{}).Now().sure);
}

TEST(TrustedTime, IsNeverBelowTheLastSignedTimeOfEarlierBoots) {
  FakeClock clock(UnixTime{});
  EXPECT_EQ(TrustedTime(clock, kNow).Now().now, kNow);
}

TEST(TrustedTime, IsAtLeastWhatWasSignedAndNotWhatAClockSays) {
  FakeClock clock(kNow + Days(365));
  TrustedTime time(clock, kNow, kNow + Days(30));
  EXPECT_EQ(time.Now().AtLeast(), kNow);
  time.Learn(kNow + Hours(1));
  clock.Advance(Seconds(1));
  EXPECT_EQ(time.Now().AtLeast(), kNow + Hours(1) + Seconds(1));
}

TEST(TrustedTime, FollowsTheBootClockAndNotTheWall) {
  FakeClock clock(UnixTime{});
  TrustedTime time(clock, UnixTime{});
  time.Learn(kNow);
  clock.Advance(Seconds(30));
  clock.JumpWall(UnixTime::FromSeconds(5));

  EXPECT_TRUE(time.Now().sure);
  EXPECT_EQ(time.Now().now, kNow + Seconds(30));
}

TEST(TrustedTime, NeverMovesBack) {
  FakeClock clock(UnixTime{});
  TrustedTime time(clock, kNow);
  time.Learn(kNow + Hours(1));
  time.Learn(kNow);
  time.Learn(kNow - Days(1));

  EXPECT_EQ(time.Now().now, kNow + Hours(1));
}

TEST(TrustedTime, ADeadWallClockDoesNotBringBackWhatHasExpired) {
  FakeClock clock(UnixTime{});
  const TrustedTime time(clock, kNow, kNow + Days(3));

  EXPECT_EQ(time.Now().now, kNow + Days(3)) << "the machine ran for three days since";
  EXPECT_FALSE(time.Now().sure);
}

TEST(TrustedTime, AWallClockFarAheadIsCorrectedByTheServer) {
  FakeClock clock(kNow + Days(9000));
  TrustedTime time(clock, kNow);
  EXPECT_EQ(time.Now().now, kNow + Days(9000));

  time.Learn(kNow + Hours(1));

  EXPECT_TRUE(time.Now().sure);
  EXPECT_EQ(time.Now().now, kNow + Hours(1));
}

TEST(TrustedTime, ATpmClockSetAheadIsCorrectedByTheServer) {
  FakeClock clock(UnixTime{});
  TrustedTime time(clock, kNow, kNow + Days(9000));

  time.Learn(kNow + Hours(1));

  EXPECT_EQ(time.Now().now, kNow + Hours(1));
}

TEST(TrustedTime, TheServerDoesNotCorrectItBelowWhatItSignedBefore) {
  FakeClock clock(UnixTime{});
  TrustedTime time(clock, kNow);

  time.Learn(kNow - Milliseconds(1));

  EXPECT_FALSE(time.Now().sure);
  EXPECT_EQ(time.Now().now, kNow);
}

TEST(TrustedTime, TheServerIsJudgedByWhatWasSignedAndByNoOtherClock) {
  FakeClock clock(kNow + Days(9000));
  TrustedTime time(clock, kNow, kNow + Days(8000));
  EXPECT_EQ(time.Bound().earliest, kNow);
  EXPECT_FALSE(time.Bound().exact);

  time.Learn(kNow + Hours(1));

  EXPECT_EQ(time.Bound().earliest, kNow + Hours(1));
  EXPECT_TRUE(time.Bound().exact);
}

TEST(TrustedTime, NoProgramIsOlderThanItsBuild) {
  EXPECT_GE(BuildTime(), *ParseRfc3339("2026-01-01T00:00:00Z"));
}

}  // namespace
}  // namespace sallyport::device
