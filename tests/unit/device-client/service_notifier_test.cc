#include "device-client/service_notifier.h"

#include <gtest/gtest.h>

namespace sallyport::device {
namespace {

TEST(WatchdogPeriod, IsHalfOfWhatTheServiceManagerWaits) {
  EXPECT_EQ(WatchdogPeriod("30000000"), Seconds(15));
  EXPECT_EQ(WatchdogPeriod("1000"), Milliseconds(100)) << "not a busy loop";
}

TEST(WatchdogPeriod, IsNothingForWhatIsNoTime) {
  for (const char* text : {"", "0", "-5", "10s", " 10", "99999999999999999999"})
    EXPECT_FALSE(WatchdogPeriod(text)) << text;
}

}  // namespace
}  // namespace sallyport::device
