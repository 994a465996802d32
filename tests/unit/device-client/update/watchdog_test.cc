#include "device-client/update/watchdog.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "pki/base/file_system.h"

namespace sallyport::device {
namespace {

// A file in the place of the device shows what a driver would have been told.
class WatchdogTest : public ::testing::Test {
 protected:
  WatchdogTest() {
    char name[] = "/tmp/sp-watchdog-XXXXXX";
    dir_ = ::mkdtemp(name);
    EXPECT_TRUE(WriteFileAtomically(files_, device(), {}));
  }
  ~WatchdogTest() override { std::filesystem::remove_all(dir_); }
  std::string device() const { return dir_ + "/watchdog"; }
  std::string Told() { return ToString(*ReadFile(files_, device(), 100)); }

  PosixFileSystem files_;
  std::string dir_;
};

TEST_F(WatchdogTest, IsFedAndThenStoppedWithTheMagicCharacter) {
  Watchdog watchdog(device());
  ASSERT_TRUE(watchdog.Open());
  ASSERT_TRUE(watchdog.Open()) << "again: nothing";
  ASSERT_TRUE(watchdog.Feed());
  ASSERT_TRUE(watchdog.Feed());
  watchdog.Disarm();
  EXPECT_EQ(Told(), std::string("\0\0V", 3));
  EXPECT_TRUE(watchdog.Feed()) << "not any more";
  EXPECT_EQ(Told().size(), 3u);
}

TEST_F(WatchdogTest, GoesOnCountingWhenTheAgentEndsInATrial) {
  {
    Watchdog watchdog(device());
    ASSERT_TRUE(watchdog.Open());
    ASSERT_TRUE(watchdog.Feed());
  }
  EXPECT_EQ(Told(), std::string("\0", 1)) << "no V";
}

TEST_F(WatchdogTest, SaysWhenItIsNotThere) {
  Watchdog watchdog(dir_ + "/none");
  EXPECT_EQ(watchdog.Open().error().rule, "watchdog.open");
  Watchdog full("/dev/full");
  ASSERT_TRUE(full.Open());
  EXPECT_EQ(full.Feed().error().rule, "watchdog.feed");
}

TEST_F(WatchdogTest, WithoutOneNothingIsOpened) {
  Watchdog none("");
  EXPECT_TRUE(none.Open());
  EXPECT_TRUE(none.Feed());
  none.Disarm();
}

}  // namespace
}  // namespace sallyport::device
