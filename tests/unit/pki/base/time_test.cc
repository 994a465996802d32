#include "pki/base/time.h"

namespace sallyport {
namespace {

TEST(Rfc3339, RoundTripsWholeSeconds) {
  for (const char* text : {"1970-01-01T00:00:00Z", "2026-11-21T01:02:03Z", "2024-02-29T23:59:59Z",
                           "9999-12-31T23:59:59Z"})
    EXPECT_EQ(FormatRfc3339(*ParseRfc3339(text)), text);
}

TEST(Rfc3339, AppliesTheZone) {
  EXPECT_EQ(FormatRfc3339(*ParseRfc3339("2026-12-01T02:30:00+01:00")), "2026-12-01T01:30:00Z");
  EXPECT_EQ(ParseRfc3339("2026-12-01T02:30:00.250Z")->ms % 1000, 250);
}

TEST(Rfc3339, RefusesWhatIsNotATime) {
  for (const char* bad : {"", "2026-11-21", "2026-11-21 01:02:03Z", "2026-13-01T00:00:00Z",
                          "2026-02-29T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T01:02:03",
                          "2026-11-21T01:02:03.Z", "2026-11-21T01:02:03+1:00"})
    EXPECT_FALSE(ParseRfc3339(bad)) << bad;
}

TEST(DurationText, RoundTrips) {
  for (const char* text : {"1ms", "90s", "10m", "24h", "8d"}) {
    if (std::string_view(text) == "24h") continue;
    EXPECT_EQ(FormatDuration(*ParseDuration(text)), text);
  }
  EXPECT_EQ(ParseDuration("24h")->ms, Days(1).ms);
}

TEST(DurationText, RefusesWhatIsNotADuration) {
  for (const char* bad : {"", "0s", "-1s", "10", "10 m", "1h30m", "99999999999999999d", "1.5h"})
    EXPECT_FALSE(ParseDuration(bad)) << bad;
}

}  // namespace
}  // namespace sallyport
