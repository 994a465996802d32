// The search through delegated targets roles (TUF 5.6.7).
#include <gtest/gtest.h>

#include "pki/crypto/hash.h"
#include "tests/unit/ota/metadata/workflow_fixture.h"

namespace sallyport::ota {
namespace {

class Delegations : public WorkflowFixture {
 protected:
  // Find refreshes and says which role signs `path`, or the refusal.
  std::string Find(std::string_view path) {
    auto trusted = client_.Refresh(repository_, kNow);
    if (!trusted) return std::string(trusted.error().name());
    const auto target = client_.FindTarget(*trusted, repository_, path);
    return target ? target->role : std::string(target.error().name());
  }
  void Put(const std::string& role, const std::string& path) {
    repository_.targets(role)[path].content = ToBytes(role);
  }
};

TEST_F(Delegations, ArePreOrderAndFirstMatchWins) {
  repository_.Delegate("targets", {"a", {"*"}});
  repository_.Delegate("targets", {"b", {"*"}});
  repository_.Delegate("a", {"c", {"*"}});
  Put("b", "x"), Put("c", "x"), Put("b", "y");
  repository_.PublishNext();

  EXPECT_EQ(Find("x"), "c");
  EXPECT_EQ(Find("y"), "b");
  EXPECT_EQ(Find("z"), "tuf.unknown-target");
}

TEST_F(Delegations, TerminatingOnesEndTheSearch) {
  repository_.Delegate("targets", {"a", {"*"}, true});
  repository_.Delegate("targets", {"b", {"*"}});
  Put("b", "x");
  repository_.PublishNext();
  EXPECT_EQ(Find("x"), "tuf.unknown-target");
}

TEST_F(Delegations, TerminatingOnesEndTheSearchOfTheirDelegatorsToo) {
  repository_.Delegate("targets", {"a", {"*"}});
  repository_.Delegate("targets", {"b", {"*"}});
  repository_.Delegate("a", {"c", {"*"}, true});
  Put("b", "x");
  repository_.PublishNext();
  EXPECT_EQ(Find("x"), "tuf.unknown-target");
}

TEST_F(Delegations, GiveNoPathOutsideTheirPatterns) {
  repository_.Delegate("targets", {"a", {"a/*"}});
  Put("a", "b/x"), Put("a", "a/x"), Put("a", "a/b/x");
  repository_.PublishNext();
  EXPECT_EQ(Find("a/x"), "a");
  EXPECT_EQ(Find("b/x"), "tuf.unknown-target");
  EXPECT_EQ(Find("a/b/x"), "tuf.unknown-target");
}

TEST_F(Delegations, MatchByHashPrefix) {
  const std::string digest = HexEncode(pki::Sha256(AsBytes("file")));
  repository_.Delegate("targets", {"a", {}, false, {digest.substr(0, 2)}});
  Put("a", "file");
  repository_.PublishNext();
  EXPECT_EQ(Find("file"), "a");
}

TEST_F(Delegations, CyclesEnd) {
  repository_.Delegate("targets", {"a", {"*"}});
  repository_.Delegate("a", {"b", {"*"}});
  repository_.Delegate("b", {"a", {"*"}});
  repository_.PublishNext();
  EXPECT_EQ(Find("x"), "tuf.unknown-target");
}

TEST_F(Delegations, ChainsLongerThanTheCapAreRefused) {
  std::string parent = "targets";
  for (size_t i = 0; i <= kDelegationsVisitedMax; ++i) {
    const std::string name = "r" + std::to_string(i);
    repository_.Delegate(parent, {name, {"*"}});
    parent = name;
  }
  repository_.PublishNext();
  EXPECT_EQ(Find("x"), "tuf.too-many-delegations");
}

TEST_F(Delegations, RolesMissingFromTheSnapshotAreRefused) {
  repository_.Delegate("targets", {"a", {"*"}});
  repository_.role("a").listed = false;
  repository_.PublishNext();
  EXPECT_EQ(Find("x"), "tuf.not-in-snapshot");
}

TEST_F(Delegations, OneDelegatorsKeysDoNotVouchForAnothers) {
  repository_.Delegate("targets", {"a", {"a/*"}});
  repository_.Delegate("targets", {"b", {"b/*"}});
  repository_.Delegate("b", {"shared", {"*", "*/*"}});
  Put("shared", "a/x"), Put("shared", "b/x");
  repository_.PublishNext();
  auto trusted = client_.Refresh(repository_, kNow).value();
  ASSERT_EQ(client_.FindTarget(trusted, repository_, "b/x")->role, "shared");

  EXPECT_EQ(client_.FindTarget(trusted, repository_, "a/x").error().name(), "tuf.unknown-target");
  EXPECT_EQ(trusted.AddDelegated({"targets", "a", "shared"}, repository_.metadata["2.shared.json"])
                .error()
                .name(),
            "tuf.not-delegated");
}

TEST_F(Delegations, RoleNamesNeverBecomePaths) {
  repository_.Delegate("targets", {"../../etc/passwd", {"*"}});
  Put("../../etc/passwd", "x");
  repository_.PublishNext();
  EXPECT_EQ(Find("x"), "../../etc/passwd");
  EXPECT_TRUE(ReadFile(files_, "/tuf/..%2F..%2Fetc%2Fpasswd.json", 1 << 20));
}

TEST_F(Delegations, TopRoleNamesCannotBeDelegated) {
  repository_.edit = [](const std::string& name, JsonValue& body) {
    const JsonValue* delegations = body.Find("delegations");
    if (name != "targets" || delegations == nullptr) return;
    const JsonValue role =
        WithMember(*delegations->Find("roles")->if_array()->begin(), {"name"}, "snapshot");
    body = WithMember(body, {"delegations", "roles"}, JsonValue::Array({role}));
  };
  repository_.Delegate("targets", {"a", {"*"}});
  repository_.PublishNext();
  EXPECT_EQ(Find("x"), "tuf.role-name");
}

TEST_F(Delegations, RolesBelowTheProductsThresholdAreRefused) {
  TufRepository repository(kNow, "edge.example");
  for (const char* role : {"root", "targets"}) {
    repository.RotateKeys(role, 2);
    repository.role(role).threshold = 2;
  }
  repository.PublishRoot();
  repository.Delegate("targets", {"policy", {"policy/*"}}, 1);
  repository.targets("policy")["policy/policy.json"].content = ToBytes("p");
  repository.Publish();
  MetadataClient client(files_, "/product", {.product = ProductRules{"edge.example"}});
  ASSERT_TRUE(client.Initialise(repository.CurrentRoot()));
  auto trusted = client.Refresh(repository, kNow).value();
  EXPECT_EQ(client.FindTarget(trusted, repository, "policy/policy.json").error().name(),
            "tuf.threshold-too-low");
}

}  // namespace
}  // namespace sallyport::ota
