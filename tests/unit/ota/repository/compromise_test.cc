// Recovery from stolen keys, rehearsed for each role as docs/operations/key-compromise.md tells it:
// what the thief can do, what stops it, and that devices which believed the thief come back.
#include "ota/repository/change_roles.h"
#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class CompromiseTest : public RepositoryFixture {
 protected:
  static constexpr uint64_t kFarAhead = 1'000'000'000;

  Signer Online(const std::string& name) {
    return LoadSigner(files_, "/keys/online/" + name + ".pem", "").value();
  }
  // ReplaceOnline puts a new key in the place of an online one and returns the change of root.
  RoleChange ReplaceOnline(Role role, const std::string& name) {
    const std::string old = Online(name).id;
    const std::string path = "/keys/online/" + name + ".pem";
    EXPECT_TRUE(files_.Remove(path));
    EXPECT_TRUE(files_.Remove(path + ".pub"));
    const Signer fresh = CreateKeyFile(files_, path, {}).value();
    return {role, {fresh.key.public_key()}, {old}, std::nullopt};
  }
  RoleChange Replace(Role role, const std::string& name) {
    const std::string old = Key(name).id;
    const Signer fresh = CreateKeyFile(files_, "/keys/offline/" + name + "-new.pem", {}).value();
    return {role, {fresh.key.public_key()}, {old}, std::nullopt};
  }
  void SignBy(const std::string& role, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const auto status = SignStaged(folder_, role, Key(name));
      ASSERT_TRUE(status) << name << ": " << status.error().ToString();
    }
  }
  // RefreshFrom lets the device see the repository with files of the thief in it.
  Result<TrustedMetadata> RefreshFrom(const std::map<std::string, Bytes>& forged) {
    const std::vector<std::string> published = files_.List("/repo/metadata").value();
    for (const std::string& name : published)
      Put("/evil/metadata/" + name, ReadFile(files_, "/repo/metadata/" + name, 1 << 24).value());
    for (const auto& [name, bytes] : forged) Put("/evil/metadata/" + name, bytes);
    FolderFetcher evil(files_, "/evil/metadata", "/repo/targets");
    return device_.Refresh(evil, kNow);
  }
  void Put(const std::string& path, ByteView bytes) {
    ASSERT_TRUE(files_.MakeDirectories("/evil/metadata"));
    ASSERT_TRUE(WriteFileAtomically(files_, path, bytes));
  }
  static std::string RuleOf(const Result<TrustedMetadata>& result) {
    return result ? "ok" : std::string(result.error().name());
  }
  static Bytes Signed(const JsonValue& body, const std::vector<const Signer*>& signers) {
    return WriteSigned(body, signers).value();
  }
};

TEST_F(CompromiseTest, StolenOnlineKeysAndFastForwardAreRecoveredByTheNextRoot) {
  ASSERT_TRUE(Refresh());
  const Signer timestamp = Online("image-timestamp"), snapshot = Online("image-snapshot");
  const Bytes targets = folder_.Published("targets")->bytes;
  const Bytes ahead =
      Signed(SnapshotBody(kFarAhead, kNow + Days(999), {{"targets", MetaFileOf(1, targets)}}),
             {&snapshot});
  const Bytes stamp = Signed(
      TimestampBody(kFarAhead, kNow + Days(999), MetaFileOf(kFarAhead, ahead)), {&timestamp});
  ASSERT_EQ(RuleOf(RefreshFrom({{"timestamp.json", stamp},
                                {std::to_string(kFarAhead) + ".snapshot.json", ahead}})),
            "ok");
  EXPECT_EQ(RuleOf(Refresh()), "tuf.rollback");  // the thief froze the device

  ASSERT_TRUE(StageRoot(folder_,
                        {ReplaceOnline(Role::kTimestamp, "image-timestamp"),
                         ReplaceOnline(Role::kSnapshot, "image-snapshot")},
                        kNow + Days(365)));
  SignBy("root", {"root-1", "root-2"});
  ASSERT_EQ(Rule(PublishNow()), "ok");
  const auto recovered = Refresh();
  ASSERT_TRUE(recovered) << recovered.error().ToString();
  EXPECT_EQ(recovered->timestamp().version, 2U);
  EXPECT_EQ(RuleOf(RefreshFrom({{"timestamp.json", stamp}})), "tuf.threshold");
}

TEST_F(CompromiseTest, OneStolenTargetsKeySignsNothingAndIsRevoked) {
  const TargetsSpec evil{
      .version = 2, .expires = kNow + Days(9), .targets = {}, .delegations = {}, .sallyport = {}};
  const Signer stolen = Key("targets-1");
  const Bytes forged = Signed(TargetsBody(evil), {&stolen});
  const Signer timestamp = Online("image-timestamp"), snapshot = Online("image-snapshot");
  const Bytes shot =
      Signed(SnapshotBody(2, kNow + Days(9),
                          {{"targets", MetaFileOf(2, forged)}, {"policy", MetaFileOf(1, forged)}}),
             {&snapshot});
  const Bytes stamp = Signed(TimestampBody(2, kNow + Days(9), MetaFileOf(2, shot)), {&timestamp});
  EXPECT_EQ(
      RuleOf(RefreshFrom(
          {{"timestamp.json", stamp}, {"2.snapshot.json", shot}, {"2.targets.json", forged}})),
      "tuf.threshold");

  ASSERT_TRUE(StageRoot(folder_, {Replace(Role::kTargets, "targets-1")}, kNow + Days(365)));
  SignBy("root", {"root-1", "root-2"});
  EXPECT_EQ(Rule(PublishNow()), "tuf.threshold");  // targets still bear the revoked signature
  ASSERT_TRUE(folder_.StageTargets("targets", {}, kNow + Days(365)));
  SignBy("targets", {"targets-2"});
  EXPECT_EQ(SignStaged(folder_, "targets", stolen).error().name(), "repository.foreign-key");
  SignBy("targets", {"targets-1-new"});
  ASSERT_EQ(Rule(PublishNow()), "ok");
}

TEST_F(CompromiseTest, AThresholdOfStolenTargetsKeysIsRecoveredByTheNextRoot) {
  ASSERT_TRUE(CreateRelease(folder_, Inputs("6.6.6"), kNow + Days(90)));
  SignBoth("targets");
  ASSERT_EQ(Rule(PublishNow()), "ok");  // the thieves' release
  ASSERT_TRUE(Refresh());

  // Clean targets are staged by the remaining keys over a body without the release.
  const Bytes first = folder_.PublishedVersion("targets", 1).value();
  const JsonValue clean = *ParseJson(AsText(first))->Find("signed");
  ASSERT_TRUE(folder_.StageBody("targets", WithMembers(clean, {{"version", 3}})));
  ASSERT_TRUE(StageRoot(
      folder_, {Replace(Role::kTargets, "targets-1"), Replace(Role::kTargets, "targets-2")},
      kNow + Days(365)));
  SignBy("root", {"root-1", "root-2"});
  SignBy("targets", {"targets-1-new", "targets-2-new"});
  ASSERT_EQ(Rule(PublishNow()), "ok");
  auto trusted = Refresh();
  ASSERT_TRUE(trusted) << trusted.error().ToString();
  EXPECT_EQ(trusted->top().version, 3U);
  EXPECT_EQ(
      device_.FindTarget(*trusted, fetcher_, "releases/edge-os/6.6.6/release.json").error().name(),
      "tuf.unknown-target");
}

TEST_F(CompromiseTest, AStolenRootKeyBelowTheThresholdMakesNoRootAndIsRevoked) {
  ASSERT_TRUE(Refresh());
  ASSERT_TRUE(StageRoot(folder_, {{Role::kRoot, {}, {}, 1}}, kNow + Days(365)));
  const Signer stolen = Key("root-1");
  const Bytes forged = Signed(folder_.Staged("root")->body, {&stolen});
  EXPECT_EQ(RuleOf(RefreshFrom({{"2.root.json", forged}})), "tuf.threshold");

  ASSERT_TRUE(folder_.Unstage("root"));
  ASSERT_TRUE(StageRoot(folder_, {Replace(Role::kRoot, "root-1")}, kNow + Days(365)));
  SignBy("root", {"root-2", "root-3"});
  ASSERT_EQ(Rule(PublishNow()), "ok");
  const auto trusted = Refresh();
  ASSERT_TRUE(trusted) << trusted.error().ToString();
  EXPECT_EQ(trusted->root().keys(Role::kRoot).Find(stolen.id), nullptr);
  ASSERT_TRUE(StageRoot(folder_, {}, kNow + Days(365)));
  EXPECT_EQ(SignStaged(folder_, "root", stolen).error().name(), "repository.foreign-key");
}

TEST_F(CompromiseTest, StolenDirectorKeysLoseTheirWordWithTheNextRootOfTheDirector) {
  const auto word = [&](uint64_t version, const Signer& key) {
    return Signed(TimestampBody(version, kNow + Days(1), MetaFileOf(version, AsBytes("x"))),
                  {&key});
  };
  const Bytes first = ReadFile(files_, "/repo/director/1.root.json", kRootSizeMax).value();
  const Bytes thiefs = word(kFarAhead, Online("director-timestamp"));
  auto before = TrustedMetadata::Start(first, kNow, DirectorRules("edge.example")).value();
  ASSERT_TRUE(before.CloseRoots());
  ASSERT_TRUE(before.AddTimestamp(thiefs));

  RepositoryFolder director = RepositoryFolder::Director(files_, "/repo");
  ASSERT_TRUE(StageRoot(director,
                        {ReplaceOnline(Role::kTimestamp, "director-timestamp"),
                         ReplaceOnline(Role::kSnapshot, "director-snapshot"),
                         ReplaceOnline(Role::kTargets, "director-targets")},
                        kNow + Days(365)));
  for (const char* name : {"root-1", "root-2"})
    ASSERT_TRUE(SignStaged(director, "root", Key(name)));
  ASSERT_TRUE(PublishDirectorRoot(director, "edge.example", kNow));

  auto after = TrustedMetadata::Start(first, kNow, DirectorRules("edge.example")).value();
  ASSERT_TRUE(after.AddRoot(director.Published("root")->bytes));
  ASSERT_TRUE(after.CloseRoots());
  EXPECT_TRUE(after.keys_rotated());  // what the thief fast-forwarded is dropped
  EXPECT_EQ(after.AddTimestamp(thiefs).error().name(), "tuf.threshold");
  EXPECT_TRUE(after.AddTimestamp(word(2, Online("director-timestamp"))));
}

}  // namespace
}  // namespace sallyport::ota
