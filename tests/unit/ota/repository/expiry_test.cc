#include "ota/repository/expiry.h"

#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

constexpr UnixTime kEnd = UnixTime::FromSeconds(1'800'000'000);

TEST(ExpiryLevels, RiseExactlyAtTheConfiguredTimesBeforeTheEnd) {
  const ExpiryAlarms alarms{.notice = Days(20), .warning = Days(10), .critical = Days(2)};
  const auto before = [&](Duration left) { return LevelAt(kEnd, kEnd - left, alarms); };
  EXPECT_EQ(before({Days(20).ms + 1000}), ExpiryLevel::kQuiet);
  EXPECT_EQ(before(Days(20)), ExpiryLevel::kNotice);
  EXPECT_EQ(before({Days(10).ms + 1000}), ExpiryLevel::kNotice);
  EXPECT_EQ(before(Days(10)), ExpiryLevel::kWarning);
  EXPECT_EQ(before(Days(2)), ExpiryLevel::kCritical);
  EXPECT_EQ(before(Seconds(1)), ExpiryLevel::kCritical);
  EXPECT_EQ(before(Seconds(0)), ExpiryLevel::kExpired);
  EXPECT_EQ(LevelAt(kEnd, kEnd + Days(1), alarms), ExpiryLevel::kExpired);
}

class ExpiryTest : public RepositoryFixture {
 protected:
  ExpiryLevel Level(std::string_view role, UnixTime now) {
    const auto roles = ExpiriesOf(files_, "/repo", {}, now).value();
    const auto at = std::ranges::find(roles, role, &RoleExpiry::role);
    EXPECT_NE(at, roles.end()) << role;
    EXPECT_EQ(at->remedy.empty(), at->level == ExpiryLevel::kQuiet) << role;
    return at->level;
  }
};

TEST_F(ExpiryTest, OfflineRolesAreAnnouncedWeeksAhead) {
  for (const char* const role : {"root", "targets", "director-root"}) {
    EXPECT_EQ(Level(role, kNow), ExpiryLevel::kQuiet);
    EXPECT_EQ(Level(role, kNow + Days(365 - 30)), ExpiryLevel::kNotice);
    EXPECT_EQ(Level(role, kNow + Days(365 - 14)), ExpiryLevel::kWarning);
    EXPECT_EQ(Level(role, kNow + Days(365 - 3)), ExpiryLevel::kCritical);
    EXPECT_EQ(Level(role, kNow + Days(365)), ExpiryLevel::kExpired);
  }
}

TEST_F(ExpiryTest, DelegatedRolesAreAmongThemOncePublished) {
  ASSERT_TRUE(StagePolicy(folder_, AsBytes("{}"), kNow + Days(20)));
  SignBoth("policy");
  ASSERT_EQ(Rule(PublishNow()), "ok");
  EXPECT_EQ(Level("policy", kNow), ExpiryLevel::kNotice);
}

TEST_F(ExpiryTest, OnlineRolesAreQuietUntilTheirRenewalIsLate) {
  EXPECT_EQ(Level("timestamp", kNow), ExpiryLevel::kQuiet);
  EXPECT_EQ(Level("timestamp", kNow + Hours(21)), ExpiryLevel::kQuiet);
  EXPECT_EQ(Level("timestamp", kNow + Hours(21) + Seconds(1)), ExpiryLevel::kCritical);
  EXPECT_EQ(Level("timestamp", kNow + Days(1)), ExpiryLevel::kExpired);
  EXPECT_EQ(Level("snapshot", kNow + Days(7)), ExpiryLevel::kExpired);
}

TEST_F(ExpiryTest, ADamagedRepositoryIsAnErrorNotSilence) {
  Write("/repo/metadata/1.root.json", AsBytes("{}"));
  EXPECT_FALSE(ExpiriesOf(files_, "/repo", {}, kNow));
}

}  // namespace
}  // namespace sallyport::ota
