// A rotated root of the director goes from the operators' copy into a running service.
#include <gmock/gmock.h>

#include <filesystem>

#include "attestation-server/api/tls.h"
#include "tests/integration/deployment.h"

namespace sallyport::testing_server {
namespace {

using ::testing::HasSubstr;

class DirectorRootNodeTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server::PrepareTls(); }
  DirectorRootNodeTest() {
    std::filesystem::copy(At("state/image"), At("repo"), std::filesystem::copy_options::recursive);
  }
  std::string At(const std::string& name) const { return deployment_.dir() + "/" + name; }
  // Release runs a command over the operators' copy; what it says is in `said_`.
  bool Release(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "release");
    arguments.insert(arguments.end(), {"--repository", At("repo"), "--director"});
    const auto answer = deployment_.Ask(arguments);
    said_ = answer ? *answer : answer.error().detail;
    return answer.has_value();
  }

  Deployment deployment_{DeploymentOptions{}};
  std::string said_;
};

TEST_F(DirectorRootNodeTest, TheServiceTakesItOnceItIsSignedAndTheCopyFollows) {
  EXPECT_FALSE(Release({"publish"})) << "nothing is staged";
  ASSERT_TRUE(Release({"root"})) << said_;
  EXPECT_FALSE(Release({"publish"}));
  EXPECT_THAT(said_, HasSubstr("tuf.threshold"));
  EXPECT_FALSE(std::filesystem::exists(At("state/image/director/2.root.json")));

  ASSERT_TRUE(Release({"sign", "--role", "root", "--key", At("offline/update-keys/root-1.pem")}))
      << said_;
  ASSERT_TRUE(Release({"publish"})) << said_;
  EXPECT_TRUE(std::filesystem::exists(At("state/image/director/2.root.json")));
  EXPECT_TRUE(std::filesystem::exists(At("repo/director/2.root.json")));
  EXPECT_THAT(*deployment_.Ask({"audit", "tail", "--limit", "1", "--json"}),
              HasSubstr("director-root.published"));
  EXPECT_FALSE(Release({"publish"})) << "the draft is gone";
}

}  // namespace
}  // namespace sallyport::testing_server
