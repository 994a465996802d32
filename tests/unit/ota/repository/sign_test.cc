#include "ota/repository/sign.h"

#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class SignTest : public RepositoryFixture {};

TEST_F(SignTest, CountsDistinctSignersUntilTheThreshold) {
  ASSERT_TRUE(CreateRelease(folder_, Inputs(), kNow + Days(90)));
  const auto first = SignStaged(folder_, "targets", Key("targets-1"));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->signatures, 1U);
  EXPECT_EQ(first->missing, std::vector<std::string>{Key("targets-2").id});
  EXPECT_FALSE(first->ready);
  EXPECT_EQ(SignStaged(folder_, "targets", Key("targets-1"))->signatures, 1U);
  EXPECT_TRUE(SignStaged(folder_, "targets", Key("targets-2"))->ready);
}

TEST_F(SignTest, RefusesKeysOfOtherRoles) {
  ASSERT_TRUE(CreateRelease(folder_, Inputs(), kNow + Days(90)));
  for (const char* name : {"root-1", "policy-1"})
    EXPECT_EQ(SignStaged(folder_, "targets", Key(name)).error().name(), "repository.foreign-key");
}

TEST_F(SignTest, RefusesRolesThatDoNotExistOrHaveNoDraft) {
  EXPECT_EQ(SignStaged(folder_, "targets", Key("targets-1")).error().reason, Reason::kNotFound);
  ASSERT_TRUE(folder_.StageTargets("nobody", {}, kNow + Days(1)));
  EXPECT_EQ(StatusOf(folder_, "nobody").error().name(), "repository.role-unknown");
}

}  // namespace
}  // namespace sallyport::ota
