#include "ota/repository/policy_release.h"

#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class PolicyReleaseTest : public RepositoryFixture {
 protected:
  Result<SigningStatus> Sign(std::string_view manifest, const std::string& key) {
    return SignPolicy(folder_, AsBytes(manifest), kNow + Days(90), Key(key));
  }
  std::string Policy() {
    auto trusted = Refresh();
    const auto target = device_.FindTarget(*trusted, fetcher_, kPolicyTargetPath);
    if (!target) return std::string(target.error().name());
    EXPECT_EQ(target->role, "policy");
    return ToString(
        device_.Download(*trusted, fetcher_, kPolicyTargetPath, target->file, 1000).value());
  }
};

TEST_F(PolicyReleaseTest, ReachesDevicesOnceTwoPeopleSigned) {
  ASSERT_TRUE(Refresh());
  EXPECT_FALSE(Sign("v1", "policy-1")->ready);
  EXPECT_EQ(Rule(PublishNow()), "repository.threshold");
  EXPECT_TRUE(Sign("v1", "policy-2")->ready);
  ASSERT_TRUE(PublishNow());
  EXPECT_EQ(Policy(), "v1");

  Sign("v2", "policy-1").value();
  Sign("v2", "policy-2").value();
  ASSERT_TRUE(PublishNow());
  EXPECT_EQ(Policy(), "v2");
}

TEST_F(PolicyReleaseTest, AnotherTextNeedsAllSignaturesAgain) {
  ASSERT_TRUE(Sign("v1", "policy-1"));
  const auto status = Sign("v1, edited", "policy-2");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signatures, 1U);
}

TEST_F(PolicyReleaseTest, ReleaseKeysCannotSignPolicy) {
  EXPECT_EQ(Sign("v1", "targets-1").error().name(), "repository.foreign-key");
}

}  // namespace
}  // namespace sallyport::ota
