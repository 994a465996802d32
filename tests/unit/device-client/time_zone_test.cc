#include "device-client/time_zone.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "device-client/config.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::device {
namespace {

class UseTimeZoneTest : public ::testing::Test {
 protected:
  UseTimeZoneTest() {
    files_.Plant("/usr/share/zoneinfo/Europe/Berlin", AsBytes("TZif2"));
    files_.Plant("/usr/share/zoneinfo/tzdata.zi", AsBytes("# version 2026"));
  }
  ~UseTimeZoneTest() override {
    if (before_) ::setenv("TZ", before_->c_str(), 1);
    if (!before_) ::unsetenv("TZ");
    ::tzset();
  }
  static DownloadSettings With(const std::string& zone) {
    DownloadSettings settings;
    settings.time_zone = zone;
    settings.time_zone_at = {17, 14};
    return settings;
  }
  const std::optional<std::string> before_ =
      ::getenv("TZ") == nullptr ? std::nullopt : std::optional<std::string>(::getenv("TZ"));
  MemoryFileSystem files_;
};

TEST_F(UseTimeZoneTest, AnUnknownZoneIsAnErrorOfTheConfigurationWithItsPlace) {
  for (const char* const zone : {"Mars/Olympus", "Europe", "tzdata.zi"}) {
    const auto used = UseTimeZone(files_, With(zone), "agent.yaml");
    ASSERT_FALSE(used) << zone;
    EXPECT_EQ(used.error().reason, Reason::kMalformed);
    EXPECT_NE(used.error().detail.find("agent.yaml:17:14"), std::string::npos)
        << used.error().detail;
    EXPECT_NE(used.error().detail.find(zone), std::string::npos);
  }
}

TEST_F(UseTimeZoneTest, AKnownOneShiftsTheCapsWithItsSummerTime) {
  const BandwidthPlan plan({{6 * 60, 22 * 60, 20'000}});
  const UnixTime winter = *ParseRfc3339("2026-01-15T05:30:00Z");
  const UnixTime summer = *ParseRfc3339("2026-07-15T04:30:00Z");
  ASSERT_TRUE(UseTimeZone(files_, With("Europe/Berlin"), "agent.yaml"));
  EXPECT_EQ(MinuteOfDay(winter), 6 * 60 + 30);
  EXPECT_EQ(MinuteOfDay(summer), 6 * 60 + 30);
  EXPECT_EQ(plan.At(MinuteOfDay(winter)), 20'000u);
  ::setenv("TZ", "UTC0", 1);
  ::tzset();
  EXPECT_EQ(plan.At(MinuteOfDay(winter)), kUnlimitedRate) << "05:30";
  ASSERT_TRUE(UseTimeZone(files_, With(""), "agent.yaml")) << "the system's stays";
  EXPECT_EQ(MinuteOfDay(winter), 5 * 60 + 30);
}

TEST_F(UseTimeZoneTest, ThePlaceIsWhereTheConfigurationNamesTheZone) {
  const auto config = ParseConfig(
      "sallyport: agent/v1\nstate: /s\ntcti: device:/dev/tpmrm0\nenrolment_file: /e\n"
      "hardware: h\nupdate:\n  slot_a: /a\n  slot_b: /b\n  esp: /esp\n  efivars: /v\n"
      "  time_zone: Mars/Olympus\n",
      "agent.yaml");
  ASSERT_TRUE(config) << config.error().ToString();
  EXPECT_EQ(config->update.download.time_zone_at.line, 11);
}

}  // namespace
}  // namespace sallyport::device
