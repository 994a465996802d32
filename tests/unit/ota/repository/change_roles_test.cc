#include "ota/repository/change_roles.h"

#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class ChangeRolesTest : public RepositoryFixture {
 protected:
  Signer Make(const std::string& name) {
    return CreateKeyFile(files_, "/keys/offline/" + name + ".pem", {}).value();
  }
  template <typename T>
  static std::string RuleOf(const Result<T>& result) {
    return result ? "ok" : std::string(result.error().name());
  }
  void SignBy(const std::string& role, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const auto status = SignStaged(folder_, role, Key(name));
      ASSERT_TRUE(status) << name << ": " << status.error().ToString();
    }
  }
  TeamRole Maps() {
    return {"maps",
            {{Make("maps-1").key.public_key(), Make("maps-2").key.public_key()}, 2},
            {"maps/*"}};
  }
  void PublishMaps() {
    ASSERT_TRUE(StageDelegation(folder_, Maps(), kNow + Days(90)));
    SignBoth("targets");
    ASSERT_EQ(Rule(PublishNow()), "ok");
  }
};

TEST_F(ChangeRolesTest, AddsASignerRevokesAnotherAndDevicesFollow) {
  const Signer fresh = Make("root-4");
  ASSERT_TRUE(StageRoot(folder_,
                        {{Role::kRoot, {fresh.key.public_key()}, {Key("root-1").id}, std::nullopt}},
                        kNow + Days(365)));
  SignBy("root", {"root-2", "root-3", "root-4"});
  ASSERT_EQ(Rule(PublishNow()), "ok");
  const auto trusted = Refresh();
  ASSERT_TRUE(trusted) << trusted.error().ToString();
  EXPECT_EQ(trusted->root().version, 2U);
  EXPECT_NE(trusted->root().keys(Role::kRoot).Find(fresh.id), nullptr);
  EXPECT_EQ(trusted->root().keys(Role::kRoot).Find(Key("root-1").id), nullptr);
}

TEST_F(ChangeRolesTest, ARootNeedsTheOldAndTheNewThreshold) {
  std::vector<pki::PublicKey> fresh;
  for (const char* name : {"root-4", "root-5"}) fresh.push_back(Make(name).key.public_key());
  const std::vector<std::string> old = {Key("root-1").id, Key("root-2").id, Key("root-3").id};
  ASSERT_TRUE(StageRoot(folder_, {{Role::kRoot, fresh, old, std::nullopt}}, kNow + Days(365)));
  SignBy("root", {"root-4", "root-5"});
  EXPECT_EQ(Rule(PublishNow()), "repository.threshold");
  SignBy("root", {"root-1"});
  EXPECT_EQ(Rule(PublishNow()), "repository.threshold");
  SignBy("root", {"root-2"});
  EXPECT_EQ(Rule(PublishNow()), "ok");
  EXPECT_EQ(Refresh()->root().version, 2U);
}

TEST_F(ChangeRolesTest, ChangesAThresholdWithinWhatTheKeysCanGive) {
  const auto stage = [&](size_t threshold) {
    return RuleOf(StageRoot(folder_, {{Role::kRoot, {}, {}, threshold}}, kNow + Days(365)));
  };
  EXPECT_EQ(stage(0), "root.threshold-unreachable");
  EXPECT_EQ(stage(4), "root.threshold-unreachable");
  ASSERT_EQ(stage(3), "ok");
  SignBy("root", {"root-1", "root-2"});
  EXPECT_EQ(Rule(PublishNow()), "repository.threshold");
  SignBy("root", {"root-3"});
  ASSERT_EQ(Rule(PublishNow()), "ok");
  EXPECT_EQ(Refresh()->root().keys(Role::kRoot).threshold(), 3U);
}

TEST_F(ChangeRolesTest, RefusesAThresholdOfOneOutsideDevelopment) {
  ASSERT_TRUE(StageRoot(folder_, {{Role::kTargets, {}, {}, 1}}, kNow + Days(365)));
  SignBy("root", {"root-1", "root-2"});
  EXPECT_EQ(Rule(PublishNow()), "tuf.threshold-too-low");
}

TEST_F(ChangeRolesTest, RefusesUnknownKeysAndOneKeyForTwoRoles) {
  const UnixTime end = kNow + Days(365);
  EXPECT_EQ(RuleOf(StageRoot(folder_, {{Role::kRoot, {}, {"nobody"}, std::nullopt}}, end)),
            "root.unknown-key");
  const pki::PublicKey held = Key("root-1").key.public_key();
  EXPECT_EQ(RuleOf(StageRoot(folder_, {{Role::kTargets, {held}, {}, std::nullopt}}, end)),
            "root.key-in-two-roles");
}

TEST_F(ChangeRolesTest, RefusesToPublishAnExpiredRoot) {
  ASSERT_TRUE(StageRoot(folder_, {}, kNow));
  SignBy("root", {"root-1", "root-2"});
  EXPECT_EQ(Rule(PublishNow()), "tuf.expired");
}

TEST_F(ChangeRolesTest, RotatesTheDirectorsKeysInItsOwnRoot) {
  RepositoryFolder director = RepositoryFolder::Director(files_, "/repo");
  const Root before = DraftRoot(director.Published("root").value()).value();
  const std::string old = before.keys(Role::kTargets).keyids().front();
  const Signer fresh = Make("director-targets-2");
  ASSERT_TRUE(StageRoot(director, {{Role::kTargets, {fresh.key.public_key()}, {old}, std::nullopt}},
                        kNow + Days(365)));
  EXPECT_EQ(RuleOf(PublishDirectorRoot(director, "edge.example", kNow)), "tuf.threshold");
  for (const char* name : {"root-1", "root-2"})
    ASSERT_TRUE(SignStaged(director, "root", Key(name)));
  EXPECT_EQ(PublishDirectorRoot(director, "edge.example", kNow).value(), 2U);
  const auto next =
      TrustedMetadata::Start(ReadFile(files_, "/repo/director/2.root.json", kRootSizeMax).value(),
                             kNow, DirectorRules("edge.example"));
  ASSERT_TRUE(next);
  EXPECT_NE(next->root().keys(Role::kTargets).Find(fresh.id), nullptr);
  EXPECT_EQ(next->root().keys(Role::kTargets).Find(old), nullptr);
  EXPECT_EQ(director.Staged("root").error().reason, Reason::kNotFound);
}

TEST_F(ChangeRolesTest, ATeamSignsItsPathsAndNothingElse) {
  PublishMaps();
  EXPECT_EQ(RuleOf(StageTeamFile(folder_, "maps", "releases/x", AsBytes("map"), kNow + Days(9))),
            "delegation.foreign-path");
  for (const char* const path : {"maps/a/b", "maps/../policy/policy.json", "/maps/a", "maps/*"})
    EXPECT_EQ(RuleOf(StageTeamFile(folder_, "maps", path, AsBytes("map"), kNow + Days(9))),
              "delegation.foreign-path")
        << path;
  EXPECT_EQ(RuleOf(StageTeamFile(folder_, "absent", "maps/a", AsBytes("map"), kNow + Days(9))),
            "delegation.unknown");
  ASSERT_TRUE(StageTeamFile(folder_, "maps", "maps/berlin.bin", AsBytes("map"), kNow + Days(9)));
  SignBy("maps", {"maps-1"});
  EXPECT_EQ(Rule(PublishNow()), "repository.threshold");
  EXPECT_EQ(RuleOf(SignStaged(folder_, "maps", Key("targets-1"))), "repository.foreign-key");
  SignBy("maps", {"maps-2"});
  ASSERT_EQ(Rule(PublishNow()), "ok");
  auto trusted = Refresh().value();
  const auto found = device_.FindTarget(trusted, fetcher_, "maps/berlin.bin");
  ASSERT_TRUE(found) << found.error().ToString();
  EXPECT_EQ(found->role, "maps");
  EXPECT_TRUE(device_.Download(trusted, fetcher_, "maps/berlin.bin", found->file, 100));
}

TEST_F(ChangeRolesTest, ATeamThatIsTakenOutIsNotBelievedAnyMore) {
  PublishMaps();
  ASSERT_TRUE(StageTeamFile(folder_, "maps", "maps/berlin.bin", AsBytes("map"), kNow + Days(9)));
  SignBoth("maps");
  ASSERT_EQ(Rule(PublishNow()), "ok");
  ASSERT_TRUE(Refresh());
  EXPECT_EQ(RuleOf(StageUndelegation(folder_, "nobody", kNow + Days(90))), "delegation.unknown");
  ASSERT_TRUE(StageUndelegation(folder_, "maps", kNow + Days(90)));
  SignBoth("targets");
  ASSERT_EQ(Rule(PublishNow()), "ok");
  auto trusted = Refresh();
  ASSERT_TRUE(trusted) << trusted.error().ToString();
  EXPECT_EQ(device_.FindTarget(*trusted, fetcher_, "maps/berlin.bin").error().name(),
            "tuf.unknown-target");
}

TEST_F(ChangeRolesTest, RefusesTeamsThatReachTooFar) {
  const TeamRole good = Maps();
  const auto rule = [&](auto change) {
    TeamRole team = good;
    change(team);
    return RuleOf(StageDelegation(folder_, team, kNow + Days(90)));
  };
  for (const char* const name : {"", "root", "../x", "Maps", "a/b"})
    EXPECT_EQ(rule([&](TeamRole& team) { team.name = name; }), "delegation.name") << name;
  EXPECT_EQ(rule([](TeamRole& team) { team.name = "policy"; }), "delegation.policy");
  EXPECT_EQ(rule([](TeamRole& team) { team.paths.clear(); }), "delegation.paths");
  for (const char* const path : {"/maps/*", "maps/../*", "policy/*", "*/*", "maps /x"})
    EXPECT_EQ(rule([&](TeamRole& team) { team.paths = {path}; }), "delegation.paths") << path;
  EXPECT_EQ(rule([](TeamRole& team) { team.role.threshold = 3; }), "delegation.threshold");
  EXPECT_EQ(rule([](TeamRole& team) { team.role.threshold = 0; }), "delegation.threshold");
  EXPECT_EQ(rule([](TeamRole& team) { team.serials = SerialLimits{3, 2}; }), "delegation.serials");
  EXPECT_EQ(rule([](TeamRole&) {}), "ok");
}

}  // namespace
}  // namespace sallyport::ota
