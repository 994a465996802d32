#include "attestation-server/enrolment/rate_limit.h"

#include <gtest/gtest.h>

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1000);

TEST(RateLimiter, AllowsTheBurstAndSaysHowLongToWait) {
  RateLimiter limiter({2, 3}, 10);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limiter.Spend("a", kNow).ms, 0);
  EXPECT_EQ(limiter.Spend("a", kNow).ms, 500);
}

TEST(RateLimiter, RefillsWithTimeUpToTheBurst) {
  RateLimiter limiter({1, 2}, 10);
  EXPECT_EQ(limiter.Spend("a", kNow).ms, 0);
  EXPECT_EQ(limiter.Spend("a", kNow).ms, 0);
  EXPECT_GT(limiter.Spend("a", kNow + Milliseconds(999)).ms, 0);
  EXPECT_EQ(limiter.Spend("a", kNow + Milliseconds(1000)).ms, 0);
  EXPECT_EQ(limiter.Spend("a", kNow + Hours(1)).ms, 0);
  EXPECT_EQ(limiter.Spend("a", kNow + Hours(1)).ms, 0);
  EXPECT_GT(limiter.Spend("a", kNow + Hours(1)).ms, 0);
}

TEST(RateLimiter, KeysDoNotDisturbEachOther) {
  RateLimiter limiter({1, 1}, 10);
  EXPECT_EQ(limiter.Spend("a", kNow).ms, 0);
  EXPECT_EQ(limiter.Spend("b", kNow).ms, 0);
  EXPECT_GT(limiter.Spend("a", kNow).ms, 0);
}

TEST(RateLimiter, AClockThatJumpsBackRefillsNothing) {
  RateLimiter limiter({1, 1}, 10);
  EXPECT_EQ(limiter.Spend("a", kNow).ms, 0);
  EXPECT_GT(limiter.Spend("a", kNow - Hours(1)).ms, 0);
}

TEST(RateLimiter, ForgetsTheKeyUsedLongestAgoWhenFull) {
  RateLimiter limiter({0.001, 1}, 2);
  EXPECT_EQ(limiter.Spend("a", kNow).ms, 0);
  EXPECT_EQ(limiter.Spend("b", kNow).ms, 0);
  EXPECT_GT(limiter.Spend("a", kNow).ms, 0);
  EXPECT_EQ(limiter.Spend("c", kNow).ms, 0);
  EXPECT_GT(limiter.Spend("a", kNow).ms, 0);
  EXPECT_EQ(limiter.Spend("b", kNow).ms, 0);
}

}  // namespace
}  // namespace sallyport::server
