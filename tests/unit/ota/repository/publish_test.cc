#include "ota/repository/publish.h"

#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class PublishTest : public RepositoryFixture {
 protected:
  const std::string kReleasePath = "releases/edge-os/2.0.0/release.json";
  RootSpec NextRoot() {
    const auto root = Refresh().value().root();
    const auto spec = [&](Role role) {
      RoleSpec out{{}, root.keys(role).threshold()};
      for (const std::string& id : root.keys(role).keyids())
        out.keys.push_back(*root.keys(role).Find(id));
      return out;
    };
    return {.version = root.version + 1,
            .expires = kNow + Days(365),
            .profile = *root.profile,
            .root = spec(Role::kRoot),
            .timestamp = spec(Role::kTimestamp),
            .snapshot = spec(Role::kSnapshot),
            .targets = spec(Role::kTargets)};
  }
};

TEST_F(PublishTest, DeliversASignedReleaseToDevices) {
  ASSERT_TRUE(Refresh());
  const auto release = CreateRelease(folder_, Inputs(), kNow + Days(90));
  ASSERT_TRUE(release) << release.error().ToString();
  SignBoth("targets");
  const auto report = PublishNow();
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->published,
            (std::vector<std::string>{"2.targets.json", "2.snapshot.json", "timestamp.json"}));

  auto trusted = Refresh().value();
  for (const char* name : {"release.json", "uki.efi", "index.json", "payload.bin"}) {
    const std::string path = "releases/edge-os/2.0.0/" + std::string(name);
    const auto target = device_.FindTarget(trusted, fetcher_, path);
    ASSERT_TRUE(target) << name;
    EXPECT_TRUE(device_.Download(trusted, fetcher_, path, target->file, 1 << 20)) << name;
  }
}

TEST_F(PublishTest, RefusesWhileSignaturesAreMissingAndWritesNothing) {
  ASSERT_TRUE(CreateRelease(folder_, Inputs(), kNow + Days(90)));
  EXPECT_EQ(Rule(PublishNow()), "repository.threshold");
  ASSERT_TRUE(SignStaged(folder_, "targets", Key("targets-1")));
  ASSERT_TRUE(SignStaged(folder_, "targets", Key("targets-1")));
  EXPECT_EQ(Rule(PublishNow()), "repository.threshold");
  EXPECT_EQ(Refresh()->top().version, 1U);
  EXPECT_EQ(Refresh()->timestamp().version, 1U);
}

TEST_F(PublishTest, RenewsTheTimestampAloneUntilHalfOfTheSnapshotsLife) {
  EXPECT_EQ(PublishNow(kNow + Days(3))->published, (std::vector<std::string>{"timestamp.json"}));
  EXPECT_EQ(PublishNow(kNow + Days(4))->published,
            (std::vector<std::string>{"2.snapshot.json", "timestamp.json"}));
  EXPECT_TRUE(Refresh(kNow + Days(4)));
}

TEST_F(PublishTest, RefusesWhatADeviceWouldRefuse) {
  ASSERT_TRUE(CreateRelease(folder_, Inputs(), kNow));
  SignBoth("targets");
  EXPECT_EQ(Rule(PublishNow()), "tuf.expired");
  EXPECT_EQ(Refresh()->top().version, 1U);
}

TEST_F(PublishTest, RotatesRootWithTheSignaturesOfOldAndNewKeys) {
  RootSpec next = NextRoot();
  const auto fresh = CreateKeyFile(files_, "/keys/offline/root-4.pem", {})->key.public_key();
  next.root.keys.erase(next.root.keys.begin());
  next.root.keys.push_back(fresh);
  ASSERT_TRUE(folder_.StageBody("root", RootBody(next)));
  for (const char* name : {"root-1", "root-2", "root-3", "root-4"}) {
    const auto status = SignStaged(folder_, "root", Key(name));
    ASSERT_TRUE(status) << name << status.error().ToString();
  }
  const auto report = PublishNow();
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(Refresh()->root().version, 2U);
}

TEST_F(PublishTest, RefusesARootWithoutItsPredecessorsSignatures) {
  RootSpec next = NextRoot();
  next.root.keys.clear();
  for (const char* name : {"root-7", "root-8"})
    next.root.keys.push_back(
        CreateKeyFile(files_, "/keys/offline/" + std::string(name) + ".pem", {})->key.public_key());
  ASSERT_TRUE(folder_.StageBody("root", RootBody(next)));
  for (const char* name : {"root-7", "root-8"}) ASSERT_TRUE(SignStaged(folder_, "root", Key(name)));
  EXPECT_FALSE(StatusOf(folder_, "root")->ready);
  EXPECT_EQ(Rule(PublishNow()), "repository.threshold");
}

TEST_F(PublishTest, RefusesForeignOnlineKeys) {
  const OnlineKeys foreign{Key("root-1"), Key("root-2")};
  EXPECT_EQ(Publish(folder_, "edge.example", foreign, {}, kNow).error().name(), "tuf.threshold");
}

TEST_F(PublishTest, PublishedFilesNeverChange) {
  EXPECT_EQ(folder_.Publish("targets", 1, AsBytes("{}")).error().name(), "repository.immutable");
}

TEST_F(PublishTest, APowerCutAtAnyMomentLeavesARepositoryThatDevicesAcceptAndPublishingResumes) {
  ASSERT_TRUE(CreateRelease(folder_, Inputs(), kNow + Days(90)));
  SignBoth("targets");
  for (uint64_t step = 0;; ++step) {
    files_.CutPowerAfter(step);
    const bool done = PublishNow().has_value();
    files_.CutPowerAfter(UINT64_MAX);
    files_.Restart();
    const auto trusted = Refresh();
    ASSERT_TRUE(trusted) << "cut after " << step << ": " << trusted.error().ToString();
    if (done) break;
  }
  EXPECT_EQ(Refresh()->top().version, 2U);
}

}  // namespace
}  // namespace sallyport::ota
