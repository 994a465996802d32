#include "device-client/agent/backoff.h"

#include "tests/fakes/fake_random.h"

namespace sallyport::device {
namespace {

TEST(Backoff, StaysWithinItsBounds) {
  FakeRandom random;
  Backoff backoff(random, kBackoffMax);
  for (int i = 0; i < 200; ++i) {
    const Duration wait = backoff.Next({});
    EXPECT_GE(wait, kBackoffMin);
    EXPECT_LE(wait, kBackoffMax);
  }
}

TEST(Backoff, GrowsWhileNothingSucceeds) {
  FakeRandom random;
  Backoff backoff(random, kBackoffMax);
  Duration longest{0};
  for (int i = 0; i < 50; ++i) longest = std::max(longest, backoff.Next({}));

  EXPECT_GT(longest, Seconds(30));
}

TEST(Backoff, SpreadsDevicesThatFailedTogether) {
  std::map<int64_t, int> seen;
  for (uint64_t device = 0; device < 100; ++device) {
    FakeRandom random(device);
    Backoff backoff(random, kBackoffMax);
    (void)backoff.Next({});
    ++seen[backoff.Next({}).ms];
  }

  EXPECT_GT(seen.size(), 90u);
}

TEST(Backoff, WaitsAtLeastAsLongAsTheServerAsked) {
  FakeRandom random;
  Backoff backoff(random, kBackoffMax);

  EXPECT_GE(backoff.Next(Minutes(10)), Minutes(10));
}

TEST(Backoff, StartsAgainAfterASuccess) {
  FakeRandom random;
  Backoff backoff(random, kBackoffMax);
  for (int i = 0; i < 50; ++i) (void)backoff.Next({});
  backoff.Reset();

  EXPECT_LE(backoff.Next({}), Seconds(3));
}

}  // namespace
}  // namespace sallyport::device
