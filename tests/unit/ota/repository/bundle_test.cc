#include "ota/repository/bundle.h"

#include "ota/repository/change_roles.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/tuf_repository.h"
#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

const std::string kRelease = "releases/edge-os/2.0.0/release.json";

Release SampleRelease(const std::string& version) {
  TufRepository elsewhere(UnixTime::FromSeconds(1'790'000'000), "edge.example");
  return AddSampleRelease(elsewhere, version, 1);
}

// A repository with a release, and a role `usb` that may make bundles 2 to 5.
class BundleTest : public RepositoryFixture {
 protected:
  void SetUp() override {
    ASSERT_TRUE(CreateRelease(folder_, Inputs(), kNow + Days(365)));
    RoleSpec role{{}, 2};
    for (const char* const name : {"usb-1", "usb-2"})
      role.keys.push_back(CreateKeyFile(files_, "/keys/offline/" + std::string(name) + ".pem", {})
                              ->key.public_key());
    ASSERT_TRUE(StageDelegation(
        folder_,
        {.name = "usb", .role = role, .paths = {"bundles/usb.json"}, .serials = SerialLimits{2, 5}},
        kNow + Days(365)));
    SignBoth("targets");
    ASSERT_EQ(Rule(PublishNow()), "ok");
  }
  BundleStatement Statement(uint64_t serial = 2) const {
    return {"usb", serial, kNow, kNow + Days(180), kRelease};
  }
  void PublishStatement(const BundleStatement& statement) {
    const auto staged = StageBundle(folder_, statement);
    ASSERT_TRUE(staged) << staged.error().ToString();
    SignBoth("usb");
    ASSERT_EQ(Rule(PublishNow()), "ok");
  }
  std::string Pack(const std::string& out = "/stick") {
    const auto packed = PackBundle(folder_, "usb", "edge.example", out, kNow);
    return packed ? "ok" : std::string(packed.error().name());
  }
  // Taker runs a release that its own release.json names, and took serial `floor` before.
  BundleTaker Taker(uint64_t floor = 0) {
    BundleTaker out{.hardware_id = "virtual-x86_64"};
    const Bytes running = ToBytes(WriteRelease(SampleRelease("1.5.0")));
    out.running = ReleaseDigestOf(running);
    out.known_releases.push_back(running);
    if (floor > 0) out.taken.insert({"usb", {floor, pki::Sha256(AsBytes("another")), true}});
    return out;
  }
  Result<VerifiedBundle> Take(UnixTime now = kNow, uint64_t floor = 0,
                              std::string_view role = "usb") {
    FolderFetcher stick(files_, "/stick/metadata", "/stick/targets");
    return VerifyUsbBundle(device_, stick, role, Taker(floor), now);
  }
  std::string Verdict(UnixTime now = kNow, uint64_t floor = 0, std::string_view role = "usb") {
    const auto taken = Take(now, floor, role);
    return taken ? "ok" : std::string(taken.error().name());
  }
};

TEST_F(BundleTest, BringsItsReleaseMonthsAfterTheOnlineRolesEnded) {
  PublishStatement(Statement());
  ASSERT_EQ(Pack(), "ok");
  const auto taken = Take(kNow + Days(179));
  ASSERT_TRUE(taken) << taken.error().ToString();
  EXPECT_EQ(taken->release().version.text(), "2.0.0");
  EXPECT_EQ(taken->statement().serial, 2U);
  FolderFetcher stick(files_, "/stick/metadata", "/stick/targets");
  EXPECT_TRUE(stick.FetchTarget(ConsistentPath(taken->release().image.payload.path,
                                               HexEncode(taken->release().image.payload.sha256)),
                                1 << 20));
  EXPECT_EQ(Verdict(kNow + Days(180)), "bundle.expired");
}

TEST_F(BundleTest, SerialsCountOnceAndWithinWhatTargetsAllows) {
  PublishStatement(Statement(3));
  ASSERT_EQ(Pack(), "ok");
  EXPECT_EQ(Verdict(kNow, 2), "ok");
  EXPECT_EQ(Verdict(kNow, 3), "bundle.serial-used");
  for (const uint64_t serial : {1, 6}) {
    PublishStatement(Statement(serial));
    const std::string out = "/other" + std::to_string(serial);
    EXPECT_EQ(Pack(out), "bundle.serial-limit");
    EXPECT_FALSE(files_.Open(out + "/metadata/timestamp.json", OpenMode::kRead));  // no bundle
  }
}

TEST_F(BundleTest, NeedsSerialsFromTargets) {
  PublishStatement(Statement());
  ASSERT_TRUE(folder_.StageTargets("targets", {}, kNow + Days(365)));
  const auto draft = folder_.Staged("targets").value();
  ASSERT_TRUE(folder_.StageBody("targets",
                                WithMembers(draft.body, {{"sallyport", JsonValue::Object({})}})));
  SignBoth("targets");
  ASSERT_EQ(Rule(PublishNow()), "ok");
  EXPECT_EQ(Pack(), "bundle.no-limits");
}

TEST_F(BundleTest, IsRefusedWhenAnyByteOfItsMetadataIsAltered) {
  PublishStatement(Statement());
  ASSERT_EQ(Pack(), "ok");
  const std::vector<std::string> names = files_.List("/stick/metadata").value();
  for (const std::string& name : names) {
    if (name == "1.root.json") continue;  // the device holds its own
    const std::string path = "/stick/metadata/" + name;
    const Bytes good = ReadFile(files_, path, 1 << 24).value();
    for (size_t at = 0; at < good.size(); at += 1 + good.size() / 40) {
      Bytes bad = good;
      bad[at] ^= 0x01;
      ASSERT_TRUE(WriteFileAtomically(files_, path, bad));
      MetadataClient fresh(files_, "/fresh-" + name + std::to_string(at),
                           ImageRules("edge.example"));
      ASSERT_TRUE(fresh.Initialise(folder_.PublishedVersion("root", 1).value()));
      FolderFetcher stick(files_, "/stick/metadata", "/stick/targets");
      EXPECT_FALSE(VerifyUsbBundle(fresh, stick, "usb", Taker(), kNow)) << name << " at " << at;
    }
    ASSERT_TRUE(WriteFileAtomically(files_, path, good));
  }
  EXPECT_EQ(Verdict(), "ok");
}

TEST_F(BundleTest, AnAlteredReleaseOrStatementIsRefused) {
  PublishStatement(Statement());
  ASSERT_EQ(Pack(), "ok");
  BundleStatement longer = Statement();
  longer.expires = kNow + Days(999);
  ASSERT_TRUE(WriteFileAtomically(files_, "/stick/metadata/bundle.json",
                                  AsBytes(WriteBundleStatement(longer))));
  EXPECT_EQ(Verdict(), "bundle.statement");
  longer.role = "policy";
  ASSERT_TRUE(WriteFileAtomically(files_, "/stick/metadata/bundle.json",
                                  AsBytes(WriteBundleStatement(longer))));
  EXPECT_EQ(Verdict(), "bundle.role");
  EXPECT_EQ(Verdict(kNow, 0, "policy"), "tuf.unknown-target");
}

TEST_F(BundleTest, OfAnOlderRepositoryThanTheDeviceHoldsIsRefused) {
  PublishStatement(Statement());
  ASSERT_EQ(Pack(), "ok");
  ASSERT_EQ(Rule(PublishNow(kNow + Days(1))), "ok");
  ASSERT_TRUE(Refresh(kNow + Days(1)));
  EXPECT_EQ(Verdict(kNow + Days(1)), "tuf.rollback");
}

TEST_F(BundleTest, IsStagedForPublishedReleasesAndKnownRolesOnly) {
  BundleStatement statement = Statement();
  statement.release = "releases/edge-os/9.9.9/release.json";
  EXPECT_EQ(StageBundle(folder_, statement).error().name(), "bundle.release");
  statement = Statement();
  statement.role = "stick";
  EXPECT_EQ(StageBundle(folder_, statement).error().name(), "delegation.unknown");
  EXPECT_EQ(Pack(), "not-found");
}

TEST_F(BundleTest, IsNeverPackedOverAnother) {
  PublishStatement(Statement());
  ASSERT_EQ(Pack(), "ok");
  EXPECT_EQ(Pack(), "bundle.exists");
}

TEST_F(BundleTest, MayAllowTheDeviceToCommitByItself) {
  BundleStatement statement = Statement();
  PublishStatement(statement);
  ASSERT_EQ(Pack(), "ok");
  EXPECT_FALSE(Take()->statement().commit_locally);
  statement.serial = 3;
  statement.commit_locally = true;
  PublishStatement(statement);
  ASSERT_EQ(Pack("/stick"), "bundle.exists");
  ASSERT_EQ(Pack("/other"), "ok");
  FolderFetcher other(files_, "/other/metadata", "/other/targets");
  const auto taken = VerifyUsbBundle(device_, other, "usb", Taker(), kNow);
  ASSERT_TRUE(taken) << taken.error().ToString();
  EXPECT_TRUE(taken->statement().commit_locally);
}

TEST(BundleStatements, AreParsedStrictly) {
  const std::string good = WriteBundleStatement({"usb", 2, UnixTime::FromSeconds(1'790'000'000),
                                                 UnixTime::FromSeconds(1'800'000'000), kRelease});
  ASSERT_TRUE(ParseBundleStatement(AsBytes(good)));
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(ParseBundleStatement(AsBytes(good.substr(0, size)))) << size;
  const auto rule = [](std::string_view text) {
    const auto parsed = ParseBundleStatement(AsBytes(text));
    return parsed ? "ok" : std::string(parsed.error().name());
  };
  EXPECT_EQ(rule(R"({"sallyport":"bundle/v2"})"), "bundle.format");
  EXPECT_EQ(rule("{\"more\":1," + good.substr(1)), "json.unknown-key");
  EXPECT_EQ(rule("{\"commit\":\"local\"," + good.substr(1)), "ok");
  EXPECT_EQ(rule("{\"commit\":\"always\"," + good.substr(1)), "bundle.commit");
}

TEST_F(BundleTest, IsNotMadeOfASealedRelease) {
  const pki::ContentSeal seal(*pki::ContentKey::FromView(Bytes(32, 9)));
  ReleaseInputs inputs = Inputs("2.0.1");
  inputs.seal = &seal;
  ASSERT_TRUE(CreateRelease(folder_, inputs, kNow + Days(365)));
  SignBoth("targets");
  ASSERT_EQ(Rule(PublishNow()), "ok");
  BundleStatement statement = Statement();
  statement.release = "releases/edge-os/2.0.1/release.json";
  EXPECT_EQ(StageBundle(folder_, statement).error().rule, "bundle.sealed");
}

}  // namespace
}  // namespace sallyport::ota
