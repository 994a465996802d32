#include "policies/language/zone_rule.h"

#include "pki/base/time.h"
#include "policies/language/zone_files.h"

namespace sallyport::policy {
namespace {

int64_t At(std::string_view time) { return ParseRfc3339(time)->seconds(); }

ZoneRule Zone(std::string_view rule) { return *ZoneRule::Parse(rule); }

TEST(ZoneRule, FollowsCentralEuropeanTime) {
  const ZoneRule berlin = Zone("CET-1CEST,M3.5.0,M10.5.0/3");

  EXPECT_EQ(berlin.OffsetAt(At("2026-01-15T12:00:00Z")), 3600);
  EXPECT_EQ(berlin.OffsetAt(At("2026-07-15T12:00:00Z")), 7200);
  EXPECT_EQ(berlin.OffsetAt(At("2026-03-29T00:59:59Z")), 3600);
  EXPECT_EQ(berlin.OffsetAt(At("2026-03-29T01:00:00Z")), 7200);
  EXPECT_EQ(berlin.OffsetAt(At("2026-10-25T00:59:59Z")), 7200);
  EXPECT_EQ(berlin.OffsetAt(At("2026-10-25T01:00:00Z")), 3600);
  EXPECT_EQ(berlin.NextChange(At("2026-01-15T12:00:00Z")), At("2026-03-29T01:00:00Z"));
  EXPECT_EQ(berlin.NextChange(At("2026-12-31T23:59:59Z")), At("2027-03-28T01:00:00Z"));
}

TEST(ZoneRule, FollowsTheSouthernHemisphere) {
  const ZoneRule sydney = Zone("AEST-10AEDT,M10.1.0,M4.1.0/3");

  EXPECT_EQ(sydney.OffsetAt(At("2026-01-15T12:00:00Z")), 11 * 3600);
  EXPECT_EQ(sydney.OffsetAt(At("2026-07-15T12:00:00Z")), 10 * 3600);
  EXPECT_EQ(sydney.OffsetAt(At("2026-12-31T23:59:59Z")), 11 * 3600);
}

TEST(ZoneRule, ReadsQuotedNamesNegativeTimesAndJulianDays) {
  EXPECT_EQ(Zone("<+0530>-5:30").OffsetAt(0), 19'800);
  EXPECT_EQ(Zone("UTC0").NextChange(0), std::nullopt);
  const ZoneRule nuuk = Zone("<-02>2<-01>,M3.5.0/-1,M10.5.0/0");
  EXPECT_EQ(nuuk.NextChange(At("2026-01-01T00:00:00Z")), At("2026-03-29T01:00:00Z"));
  const ZoneRule julian = Zone("AAA0BBB,J60,J300");  // 1 March in every year
  EXPECT_EQ(julian.NextChange(At("2028-01-01T00:00:00Z")), At("2028-03-01T02:00:00Z"));
  EXPECT_EQ(julian.NextChange(At("2027-01-01T00:00:00Z")), At("2027-03-01T02:00:00Z"));
  const ZoneRule zero = Zone("AAA0BBB,59,300");  // 29 February in leap years
  EXPECT_EQ(zero.NextChange(At("2028-01-01T00:00:00Z")), At("2028-02-29T02:00:00Z"));
}

TEST(ZoneRule, RefusesWhatIsNotARule) {
  for (const char* bad : {"", "C1", "CET", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
                          "CET-1CEST,M3.0.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-25",
                          "CET-1:60", "CET-1CEST,J0,J1", "CET-1CEST,M3.5.0,M10.5.0x", "<CET-1",
                          "CET-1CEST", "CET-1CEST,M3.5.0/168,M10.5.0"})
    EXPECT_FALSE(ZoneRule::Parse(bad)) << bad;
}

TEST(ZoneRule, RefusesTruncatedZoneFiles) {
  PosixFileSystem files;
  const auto file = ReadFile(files, "/usr/share/zoneinfo/Europe/Berlin", 1 << 20);
  ASSERT_TRUE(file);
  ASSERT_TRUE(ZoneRule::FromTzif(*file));
  for (size_t i = 0; i < file->size(); ++i)
    EXPECT_FALSE(ZoneRule::FromTzif(ByteView(*file).first(i))) << i;
}

TEST(ZoneFiles, FindsZonesOfTheSystem) {
  PosixFileSystem files;
  const ZoneLookup zones = ZoneFiles(files);

  EXPECT_EQ(zones("Europe/Berlin")->text(), "CET-1CEST,M3.5.0,M10.5.0/3");
  EXPECT_TRUE(zones("America/New_York"));
  EXPECT_TRUE(zones("UTC"));
}

TEST(ZoneFiles, RefusesUnknownNamesAndPathsOutside) {
  PosixFileSystem files;
  const ZoneLookup zones = ZoneFiles(files);

  for (const char* bad :
       {"Europe/Berlni", "../../etc/passwd", "/etc/passwd", "Europe/", "", "tzdata.zi"})
    EXPECT_EQ(zones(bad).error().reason, Reason::kNotFound) << bad;
}

TEST(ZoneFiles, RefusesZonesWhoseChangesFollowNoRule) {
  PosixFileSystem files;
  EXPECT_EQ(ZoneFiles(files)("Africa/Casablanca").error().reason, Reason::kUnsupported);
}

}  // namespace
}  // namespace sallyport::policy
