#include "device-client/state_lock.h"

#include <cstdlib>
#include <filesystem>

namespace sallyport::device {
namespace {

class StateLockTest : public testing::Test {
 protected:
  StateLockTest() {
    char name[] = "/tmp/sp-lock-XXXXXX";
    dir_ = ::mkdtemp(name);
  }
  ~StateLockTest() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

TEST_F(StateLockTest, IsHeldByOneAtATimeUntilItEnds) {
  {
    const auto first = StateLock::Take(dir_);
    ASSERT_TRUE(first);
    EXPECT_EQ(StateLock::Take(dir_).error().name(), "agent.running");
    EXPECT_TRUE(StateLock::CheckHeld(dir_));
    EXPECT_EQ(StateLock::Take(dir_).error().name(), "agent.running")
        << "looking lets go of nothing";
  }
  EXPECT_EQ(StateLock::CheckHeld(dir_).error().name(), "agent.not-running");
  EXPECT_TRUE(StateLock::Take(dir_));
}

TEST_F(StateLockTest, LookingTakesNothing) {
  EXPECT_EQ(StateLock::CheckHeld(dir_).error().name(), "agent.not-running");
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/lock"));
  ASSERT_TRUE(StateLock::Take(dir_));
  EXPECT_EQ(StateLock::CheckHeld(dir_).error().reason, Reason::kUnavailable);
  EXPECT_TRUE(StateLock::Take(dir_));
}

}  // namespace
}  // namespace sallyport::device
