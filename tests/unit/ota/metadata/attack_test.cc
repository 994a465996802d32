// The attacks of TUF and Uptane, each as one scenario of a hostile server: against the TUF client
// (TufAttack) and against the device manifest (ManifestAttack). The parts of each attack have tests
// of their own beside this file; docs/metadata.md has the table.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "ota/metadata/client.h"
#include "ota/metadata/limits.h"
#include "tests/unit/ota/metadata/manifest_fixture.h"

namespace sallyport::ota {
namespace {

constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
const std::vector<std::string> kOnline = {"timestamp", "snapshot"};
const std::vector<std::string> kBelowRoot = {"timestamp", "snapshot", "targets"};

class TufAttack : public testing::Test {
 protected:
  TufAttack() {
    honest_.targets()["app"].content = ToBytes("the app");
    honest_.Publish();
    EXPECT_TRUE(client_.Initialise(honest_.CurrentRoot()));
  }
  std::string Refresh(Fetcher& server, UnixTime now = kNow) {
    const auto trusted = client_.Refresh(server, now);
    return trusted ? "ok" : std::string(trusted.error().name());
  }
  // Get is what the device would run: the bytes, or the rule that refused them.
  std::string Get(Fetcher& server, const std::string& path = "app") {
    auto trusted = client_.Refresh(server, kNow);
    if (!trusted) return std::string(trusted.error().name());
    const auto target = client_.FindTarget(*trusted, server, path);
    if (!target) return std::string(target.error().name());
    const auto bytes = client_.Download(*trusted, server, path, target->file, 1 << 20);
    return bytes ? ToString(*bytes) : std::string(bytes.error().name());
  }
  uint64_t HeldTargets() {
    MetadataClient again(files_, "/tuf", {});
    const auto stored = again.Stored("targets", kTargetsSizeMax);
    if (!stored) return 0;
    const auto tree = ParseJson(AsText(*stored));
    return static_cast<uint64_t>(*tree->Find("signed")->Find("version")->if_integer());
  }

  TufRepository honest_{kNow, ""};
  MemoryFileSystem files_;
  MetadataClient client_{files_, "/tuf", {}};
};

TEST_F(TufAttack, ArbitrarySoftwareIsNotInstalled) {
  ASSERT_EQ(Get(honest_), "the app");
  TufRepository evil(kNow, "");  // another repository, all keys its own
  evil.targets()["app"].content = ToBytes("malware");
  for (int i = 0; i < 5; ++i) evil.PublishNext();
  EXPECT_EQ(Get(evil), "tuf.threshold");

  TufRepository swapped = honest_;
  for (auto& [path, bytes] : swapped.served_targets) bytes = ToBytes("malware");
  EXPECT_EQ(Get(swapped), "tuf.digest");
}

TEST_F(TufAttack, RollbackToAnOldRepositoryIsRefused) {
  const TufRepository before = honest_;
  honest_.targets()["app"].content = ToBytes("the fixed app");
  honest_.PublishNext();
  ASSERT_EQ(Get(honest_), "the fixed app");
  TufRepository old = before;  // every byte of it was once genuine
  EXPECT_EQ(Get(old), "tuf.rollback");
  EXPECT_EQ(Get(honest_), "the fixed app");
}

TEST_F(TufAttack, FastForwardToTheLargestVersionIsUndoneByNewKeys) {
  TufRepository evil = honest_;
  for (const std::string& role : kBelowRoot) evil.role(role).version = kLargest;
  evil.Publish();
  ASSERT_EQ(Refresh(evil), "ok");  // the keys are genuine: nothing can be seen yet
  honest_.PublishNext();
  EXPECT_EQ(Refresh(honest_), "tuf.rollback");

  for (const std::string& role : kBelowRoot) honest_.RotateKeys(role);
  honest_.role("root").version = 2;
  honest_.PublishRoot();
  honest_.PublishNext();
  EXPECT_EQ(Get(honest_), "the app");
  EXPECT_EQ(Refresh(evil), "tuf.threshold");
}

TEST_F(TufAttack, AFrozenRepositoryEndsWithItsTimestamp) {
  ASSERT_EQ(Refresh(honest_), "ok");
  EXPECT_EQ(Refresh(honest_, kNow + Days(1) - Seconds(1)), "ok");
  EXPECT_EQ(Refresh(honest_, kNow + Days(1)), "tuf.expired");
}

// EndlessFetcher answers one file with as much as it may, and a byte more.
class EndlessFetcher final : public Fetcher {
 public:
  EndlessFetcher(TufRepository& honest, std::string victim)
      : honest_(honest), victim_(std::move(victim)) {}
  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override {
    most_asked = std::max(most_asked, size_max);
    if (file == victim_) return Bytes(size_max + 1, ' ');
    return honest_.FetchMetadata(file, size_max);
  }
  Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) override {
    most_asked = std::max(most_asked, size_max);
    if (victim_ == "target") return Bytes(size_max + 1, ' ');
    return honest_.FetchTarget(path, size_max);
  }
  uint64_t most_asked = 0;

 private:
  TufRepository& honest_;
  std::string victim_;
};

TEST_F(TufAttack, EndlessDataIsReadToItsLimitAndRefused) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"2.root.json", "json.size"},      {"timestamp.json", "json.size"},
      {"1.snapshot.json", "tuf.length"}, {"1.targets.json", "tuf.length"},
      {"target", "tuf.length"},          {"none", "the app"}};
  for (const auto& [file, rule] : cases) {
    EndlessFetcher endless(honest_, file);
    EXPECT_EQ(Get(endless), rule) << file;
    EXPECT_LE(endless.most_asked, kRootSizeMax) << file;
  }
}

TEST_F(TufAttack, MixedVersionsAreRefusedWhicheverRoleIsOld) {
  const TufRepository before = honest_;
  honest_.targets()["app"].content = ToBytes("the next app");
  honest_.PublishNext();
  for (const char* role : {"snapshot", "targets"}) {
    TufRepository mixed = honest_;
    mixed.metadata["2." + std::string(role) + ".json"] =
        before.metadata.at("1." + std::string(role) + ".json");
    EXPECT_EQ(Get(mixed).substr(0, 4), "tuf.") << role;
  }
  TufRepository mixed = honest_;
  const auto newest = std::ranges::find_if(
      mixed.served_targets, [](const auto& t) { return t.second == ToBytes("the next app"); });
  newest->second = ToBytes("the older ap");
  EXPECT_EQ(Get(mixed), "tuf.digest");
  EXPECT_EQ(Get(honest_), "the next app");
}

TEST_F(TufAttack, OneStolenKeyOfAnyRoleBelowItsThresholdSignsNothing) {
  for (const char* role : {"root", "timestamp", "snapshot", "targets"}) {
    TufRepository repository(kNow, "");
    repository.role(role).threshold = 2;
    repository.RotateKeys(role, 2);
    repository.PublishRoot();
    repository.Publish();
    MetadataClient client(files_, std::string("/stolen-") + role, {});
    ASSERT_TRUE(client.Initialise(repository.CurrentRoot()));
    ASSERT_TRUE(client.Refresh(repository, kNow));

    repository.role(role).keys.pop_back();  // the thief has one of two
    ++repository.role("root").version;
    if (std::string(role) == "root") repository.PublishRoot();
    repository.PublishNext();
    EXPECT_EQ(client.Refresh(repository, kNow).error().name(), "tuf.threshold") << role;
  }
}

TEST_F(TufAttack, StolenOnlineKeysSignNoSoftware) {
  ASSERT_EQ(Get(honest_), "the app");
  TufRepository evil = honest_;  // with timestamp and snapshot keys, but not those of targets
  evil.RotateKeys("targets");
  evil.targets()["app"].content = ToBytes("malware");
  evil.PublishNext();
  EXPECT_EQ(Get(evil), "tuf.threshold");
}

TEST_F(TufAttack, AStolenKeyIsWorthlessAfterTheNextRoot) {
  for (const std::string& role : kBelowRoot) {
    TufRepository repository(kNow, "");
    MetadataClient client(files_, "/worthless-" + role, {});
    ASSERT_TRUE(client.Initialise(repository.CurrentRoot()));
    const auto stolen = repository.role(role).keys;
    repository.RotateKeys(role);
    repository.role("root").version = 2;
    repository.PublishRoot();
    repository.PublishNext();
    ASSERT_TRUE(client.Refresh(repository, kNow)) << role;
    repository.role(role).keys = stolen;
    repository.PublishNext();
    EXPECT_EQ(client.Refresh(repository, kNow).error().name(), "tuf.threshold") << role;
  }
}

// SilentFetcher does not answer from the nth request on.
class SilentFetcher final : public Fetcher {
 public:
  SilentFetcher(TufRepository& honest, size_t answers) : honest_(honest), answers_(answers) {}
  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override {
    if (answers_-- == 0) return Error{Reason::kUnavailable, file};
    return honest_.FetchMetadata(file, size_max);
  }
  Result<Bytes> FetchTarget(const std::string& path, uint64_t) override {
    return Error{Reason::kUnavailable, path};
  }

 private:
  TufRepository& honest_;
  size_t answers_;
};

TEST_F(TufAttack, DroppedRequestsLeaveWhatIsTrustedAndTheNextCycleGoesOn) {
  for (size_t answers = 0; answers < 4; ++answers) {
    ASSERT_EQ(Refresh(honest_), "ok");
    const uint64_t held = HeldTargets();
    honest_.PublishNext();
    SilentFetcher silent(honest_, answers);
    EXPECT_EQ(Refresh(silent), "unavailable") << answers;
    EXPECT_EQ(HeldTargets(), held) << answers;
    EXPECT_EQ(Refresh(honest_), "ok") << answers;
    EXPECT_EQ(HeldTargets(), held + 1) << answers;
  }
}

TEST_F(TufAttack, AMaliciousMirrorCostsTimeAndNothingElse) {
  for (const auto& [file, good] : honest_.metadata) {
    for (const Bytes& lie :
         {Bytes(), ToBytes("{}"), Bytes(100, 0xFF), Bytes(good.rbegin(), good.rend()),
          Bytes(good.begin(), good.end() - 1)}) {
      TufRepository mirror = honest_;
      mirror.metadata[file] = lie;
      const std::string got = Get(mirror);
      EXPECT_TRUE(got == "the app" || got.find('.') != std::string::npos) << file << ": " << got;
      EXPECT_EQ(Get(honest_), "the app") << "after " << file;
    }
  }
}

TEST_F(TufAttack, RootsBeyondTheLimitOfOneCycleWaitForTheNext) {
  TufRepository rotating(kNow, "");
  MetadataClient client(files_, "/rotating", {});
  ASSERT_TRUE(client.Initialise(rotating.CurrentRoot()));
  for (int i = 0; i < kRootRotationsMax + 3; ++i) {
    ++rotating.role("root").version;
    rotating.PublishRoot();
  }
  EXPECT_EQ(client.Refresh(rotating, kNow)->root().version, 1U + kRootRotationsMax);
  EXPECT_EQ(client.Refresh(rotating, kNow)->root().version, 4U + kRootRotationsMax);
}

class ManifestAttack : public ManifestFixture {
 protected:
  uint64_t Held() { return verifier_.VerifyStored(floors_, kNow)->version(); }
};

TEST_F(ManifestAttack, ADirectorCannotAssignSoftwareThatPeopleDidNotSign) {
  director_.targets()[kReleasePath].content = ToBytes("malware");
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.repositories-disagree");
  director_.targets().erase(kReleasePath);
  director_.targets()["releases/edge-os/6.6.6/release.json"] = {
      ToBytes("malware"), image_.targets()[kReleasePath].custom};
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.release-unsigned");
}

TEST_F(ManifestAttack, RollbackIsRefusedByDiskAndWithoutDiskByTheCountersOfTheTpm) {
  const DeviceManifest old = director_.Manifest(slice_);
  director_.PublishNext();
  ASSERT_EQ(Rule(), "ok");
  EXPECT_EQ(verifier_.Verify(old, image_, floors_, kNow).error().name(), "tuf.rollback");

  ManifestVerifier wiped(files_, "/wiped", {kDevice, "edge.example", "virtual-x86_64"});
  ASSERT_TRUE(wiped.Provision(image_.CurrentRoot(), director_.CurrentRoot()));
  const ManifestFloors floors{.director_version = Held()};
  EXPECT_EQ(wiped.Verify(old, image_, floors, kNow).error().name(), "uptane.floor");
}

TEST_F(ManifestAttack, FreezeEndsWithTheLease) {
  ASSERT_EQ(Rule(), "ok");
  EXPECT_EQ(StoredRule(kNow + Days(1) - Seconds(1)), "ok");
  EXPECT_EQ(StoredRule(kNow + Days(1)), "tuf.expired");
}

TEST_F(ManifestAttack, PartsOfTwoManifestsAreRefusedInEveryMixture) {
  const DeviceManifest first = director_.Manifest(slice_);
  const Bytes old_slice = slice_;
  slice_ = ToBytes("another slice");
  director_.targets()["slice.json"].content = slice_;
  director_.PublishNext();
  const DeviceManifest second = director_.Manifest(slice_);
  for (int mixture = 1; mixture < 15; ++mixture) {
    DeviceManifest mixed = second;
    if (mixture & 1) mixed.timestamp = first.timestamp;
    if (mixture & 2) mixed.snapshot = first.snapshot;
    if (mixture & 4) mixed.targets = first.targets;
    if (mixture & 8) mixed.slice = first.slice;
    EXPECT_FALSE(verifier_.Verify(mixed, image_, floors_, kNow)) << mixture;
  }
  EXPECT_TRUE(verifier_.Verify(second, image_, floors_, kNow));
}

TEST_F(ManifestAttack, APartialManifestIsRefusedWholeAndTheHeldOneStays) {
  ASSERT_EQ(Rule(), "ok");
  director_.PublishNext();
  for (Bytes DeviceManifest::* part : {&DeviceManifest::timestamp, &DeviceManifest::snapshot,
                                       &DeviceManifest::targets, &DeviceManifest::slice}) {
    DeviceManifest partial = director_.Manifest(slice_);
    (partial.*part).clear();
    EXPECT_FALSE(verifier_.Verify(partial, image_, floors_, kNow));
    EXPECT_EQ(Held(), static_cast<uint64_t>(kFirst));
  }
  TufRepository without_release = image_;
  std::erase_if(without_release.served_targets,
                [](const auto& t) { return t.first.ends_with("release.json"); });
  EXPECT_FALSE(verifier_.Verify(director_.Manifest(slice_), without_release, floors_, kNow));
  EXPECT_EQ(Held(), static_cast<uint64_t>(kFirst));
  EXPECT_EQ(Rule(), "ok");
}

TEST_F(ManifestAttack, ADependencyThatNobodySignedIsNotAdded) {
  director_.targets()["releases/edge-os/2.0.0/uki.efi"].content = ToBytes("uki 2.0.0");
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.director-targets");
}

TEST_F(ManifestAttack, SoftwareOfAnotherKindOfMachineIsNotInstalled) {
  director_.targets()[kReleasePath].custom =
      WithMember(image_.targets()[kReleasePath].custom, {"hardware"},
                 JsonValue::Strings({"toaster", "virtual-x86_64"}));
  director_.Publish();
  EXPECT_EQ(Rule(), "uptane.repositories-disagree");
}

TEST_F(ManifestAttack, StolenOnlineKeysOfBothRepositoriesInstallNothingNew) {
  TufRepository thief_image = image_;  // with snapshot and timestamp, without targets and policy
  thief_image.RotateKeys("targets");
  AddSampleRelease(thief_image, "6.6.6", 9);
  thief_image.PublishNext();
  director_.targets().erase(kReleasePath);
  const std::string path = "releases/edge-os/6.6.6/release.json";
  director_.targets()[path] = thief_image.targets()[path];
  director_.PublishNext();
  EXPECT_EQ(verifier_.Verify(director_.Manifest(slice_), thief_image, floors_, kNow).error().name(),
            "tuf.threshold");
}

TEST_F(ManifestAttack, AStolenDirectorKeyIsWorthlessAfterTheNextRoot) {
  for (const std::string& role : kBelowRoot) {
    const TufRepository thief = director_;
    director_.RotateKeys(role);
    ++director_.role("root").version;
    director_.PublishRoot();
    director_.PublishNext();
    ASSERT_EQ(Rule(), "ok") << role;
    TufRepository evil = thief;
    for (int i = 0; i < 9; ++i) evil.PublishNext();
    DeviceManifest forged = evil.Manifest(slice_);
    EXPECT_EQ(verifier_.Verify(forged, image_, floors_, kNow).error().name(), "tuf.threshold")
        << role;
  }
}

TEST_F(ManifestAttack, AManifestOfAnotherDeviceIsRefusedHoweverWellSigned) {
  State(std::string(52, 'b'), "edge.example", 1);
  Assign();
  EXPECT_EQ(Rule(), "uptane.foreign-device");
}

TEST_F(ManifestAttack, EndlessRootsAreRefusedBeforeTheyAreRead) {
  DeviceManifest manifest = director_.Manifest(slice_);
  manifest.root_chain.assign(kManifestRootsMax + 1, Bytes());
  EXPECT_EQ(verifier_.Verify(manifest, image_, floors_, kNow).error().name(), "uptane.root-chain");
}

}  // namespace
}  // namespace sallyport::ota
