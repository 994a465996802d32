#include "ota/repository/inspect.h"

#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class InspectTest : public RepositoryFixture {};

TEST_F(InspectTest, ShowsRolesReleasesAndDrafts) {
  ASSERT_TRUE(CreateRelease(folder_, Inputs(), kNow + Days(90)));
  SignBoth("targets");
  ASSERT_TRUE(PublishNow());
  ASSERT_TRUE(StagePolicy(folder_, AsBytes("p"), kNow + Days(1)));

  const auto facts = InspectRepository(folder_, kNow + Days(2));
  ASSERT_TRUE(facts) << facts.error().ToString();
  const JsonCursor cursor(*facts);
  EXPECT_EQ(*cursor.GetString("trust_domain"), "edge.example");
  EXPECT_EQ(*cursor.Member("roles")->Member("targets")->GetInteger("version"), 2);
  EXPECT_EQ(*cursor.Member("roles")->Member("root")->GetInteger("threshold"), 2);
  EXPECT_TRUE(cursor.Member("roles")->Member("timestamp")->GetBool("expired")->value);
  EXPECT_EQ(*cursor.GetElements("releases")->front().GetString("version"), "2.0.0");
  EXPECT_EQ(*cursor.GetElements("staged")->front().GetString("role"), "policy");
  EXPECT_FALSE(cursor.GetElements("staged")->front().GetBool("ready")->value);
}

TEST_F(InspectTest, RefusesAFolderThatIsNoRepository) {
  EXPECT_EQ(InspectRepository(RepositoryFolder(files_, "/in"), kNow).error().reason,
            Reason::kNotFound);
}

}  // namespace
}  // namespace sallyport::ota
