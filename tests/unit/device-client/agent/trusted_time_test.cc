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

}  // namespace
}  // namespace sallyport::device
