// Publishing, and what the server takes from a publication only when it fits.
#include "attestation-server/operations/publication.h"

#include "ota/repository/policy_release.h"
#include "tests/unit/attestation-server/director/site_policy.h"
#include "tests/unit/attestation-server/operations/operations_fixture.h"
#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::server {
namespace {

// TestedPolicy is the site policy with a test over the inventory.
std::string TestedPolicy() {
  return std::string(kSitePolicy) + R"(tests:
  - {from: cam-1, to: cam-2, service: rtsp, expect: allow, by: g}
)";
}

struct FoundedRepository final : ota::RepositoryFixture {
  void TestBody() override {}
  using RepositoryFixture::files_;
  using RepositoryFixture::folder_;
  using RepositoryFixture::Inputs;
  using RepositoryFixture::Key;
  using RepositoryFixture::options_;
  using RepositoryFixture::SignBoth;
};

class PublicationOperationsTest : public OperationsTest {
 protected:
  PublicationOperationsTest() {
    now_ = kNow;
    for (uint8_t i = 1; i <= 2; ++i) {
      DeviceRecord device = MakeDevice(i);
      device.attested_at = kNow;
      device.valid_until = kNow + Hours(1);
      Keep(device);
    }
  }
  // SignAndPublish puts the manifest of `source` into the repository, signed by two people.
  void SignAndPublish(std::string_view source, int64_t version) {
    const std::string manifest = ManifestOf(source, version);
    for (const char* person : {"policy-1", "policy-2"})
      ASSERT_TRUE(ota::SignPolicy(repository_.folder_, AsBytes(manifest), kNow + Days(90),
                                  repository_.Key(person)));
    const auto published = operations_.Publish(alice_.who, kNow);
    ASSERT_TRUE(published.has_value()) << published.error().ToString();
  }
  std::string Apply(std::string_view source, UnixTime now = kNow) {
    return RuleOf(operations_.ApplyPolicy(alice_.who, AsBytes(source), now));
  }

  pki::PublicKey OnlineKey(const std::string& role) {
    return ota::LoadPublicKey(repository_.files_, "/keys/online/director-" + role + ".pem.pub")
        .value();
  }

  FoundedRepository repository_;
  policy::ZoneLookup zones_ = Zones();
  int changes_ = 0;
  PublicationOperations operations_{
      Parts(),
      {repository_.files_,
       "/repo",
       "edge.example",
       ota::LoadOnlineKeys(repository_.files_, "/keys", repository_.options_.online_passphrase)
           .value(),
       {OnlineKey("targets"), OnlineKey("snapshot"), OnlineKey("timestamp"), [](const Bytes&) {}}},
      zones_,
      [this] { ++changes_; }};
};

TEST_F(PublicationOperationsTest, UploadsGoToStagedRolesAndTargetsOnly) {
  EXPECT_EQ(operations_.UploadPath("staged/targets.json").value(), "/repo/staged/targets.json");
  EXPECT_EQ(operations_.UploadPath("targets/releases/a/1.0.0/uki.efi").value(),
            "/repo/targets/releases/a/1.0.0/uki.efi");
  for (const char* wrong :
       {"", "/", "staged", "staged/", "staged/root", "staged/a/b.json", "staged/../x.json",
        "staged/.hidden.json", "metadata/1.root.json", "targets", "targets/", "targets//x",
        "targets/../../etc/passwd", "targets/a/../b", "/etc/passwd", "targets/a b",
        "targets/1/2/3/4/5/6/7/8", "Targets/x", "targets/x\n"})
    EXPECT_EQ(RuleOf(operations_.UploadPath(wrong)), "publish.path") << wrong;
  EXPECT_EQ(RuleOf(operations_.UploadPath(std::string("targets/x\0y", 11))), "publish.path");
  EXPECT_EQ(RuleOf(operations_.UploadPath("targets/" + std::string(129, 'a'))), "publish.path");
}

TEST_F(PublicationOperationsTest, PolicyMustBePublishedBeforeItApplies) {
  EXPECT_NE(Apply(TestedPolicy()), "accepted");
  EXPECT_EQ(Count("SELECT COUNT(*) FROM policies"), 0);
}

TEST_F(PublicationOperationsTest, PublishedPolicyComesInForce) {
  SignAndPublish(TestedPolicy(), 1);
  changes_ = 0;

  EXPECT_EQ(Apply(TestedPolicy()), "accepted");

  EXPECT_EQ(Count("SELECT version FROM policies"), 1);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit WHERE event = 'policy.applied'"), 1);
  EXPECT_EQ(changes_, 1);
}

TEST_F(PublicationOperationsTest, SourceMustBeWhatWasSigned) {
  SignAndPublish(TestedPolicy(), 1);
  std::string other(TestedPolicy());
  other.replace(other.find("2035"), 4, "2036");

  EXPECT_NE(Apply(other), "accepted");
  EXPECT_EQ(Apply("sallyport: policy/v1\nname: x\nsurprise: 1\n"), "policy.source");
  EXPECT_EQ(Count("SELECT COUNT(*) FROM policies"), 0);
}

TEST_F(PublicationOperationsTest, TestsOfThePolicyMustHoldOverTodaysDevices) {
  std::string wrong(TestedPolicy());
  wrong.replace(wrong.find("allow, by: g"), 12, "deny");
  SignAndPublish(wrong, 1);

  EXPECT_EQ(Apply(wrong), "policy.review");
}

TEST_F(PublicationOperationsTest, PolicyIsValidFromItsBeginToItsEnd) {
  SignAndPublish(TestedPolicy(), 1);

  EXPECT_EQ(Apply(TestedPolicy(), kNow - Seconds(1)), "policy.validity");
  EXPECT_EQ(Apply(TestedPolicy(), kNow + Days(30)), "policy.validity");
  EXPECT_EQ(Apply(TestedPolicy(), kNow + Days(30) - Seconds(1)), "accepted");
}

TEST_F(PublicationOperationsTest, OlderPolicyDoesNotComeBack) {
  SignAndPublish(TestedPolicy(), 2);
  ASSERT_EQ(Apply(TestedPolicy()), "accepted");
  EXPECT_EQ(Apply(TestedPolicy()), "accepted") << "the same again changes nothing";

  SignAndPublish(TestedPolicy(), 1);

  EXPECT_EQ(Apply(TestedPolicy()), "policy.version");
  EXPECT_EQ(Count("SELECT MAX(version) FROM policies"), 2);
}

TEST_F(PublicationOperationsTest, APublicationWithoutAReleaseWithdrawsIt) {
  const auto publish = [this] {
    repository_.SignBoth("targets");
    return RuleOf(operations_.Publish(alice_.who, kNow));
  };
  const auto version = ota::ReleaseVersion::Parse("2.0.0").value();
  ASSERT_TRUE(ota::CreateRelease(repository_.folder_, repository_.Inputs(), kNow + Days(90)));
  ASSERT_EQ(publish(), "accepted");
  EXPECT_EQ(Count("SELECT withdrawn FROM releases"), 0);
  ASSERT_TRUE(ota::WithdrawRelease(repository_.folder_, "edge-os", version, kNow + Days(90)));
  EXPECT_EQ(Count("SELECT withdrawn FROM releases"), 0) << "staged is not published";
  ASSERT_EQ(publish(), "accepted");
  EXPECT_EQ(Count("SELECT withdrawn FROM releases"), 1);
}

TEST_F(PublicationOperationsTest, DamagedTargetIsNotTaken) {
  SignAndPublish(TestedPolicy(), 1);
  const std::vector<std::string> names = repository_.files_.List("/repo/targets/policy").value();
  ASSERT_FALSE(names.empty());
  for (const std::string& name : names)
    ASSERT_TRUE(WriteFileAtomically(repository_.files_, "/repo/targets/policy/" + name,
                                    AsBytes(std::string_view("{}"))));

  EXPECT_EQ(Apply(TestedPolicy()), "publish.damaged");
}

TEST_F(PublicationOperationsTest, ListsPolicies) {
  SignAndPublish(TestedPolicy(), 1);
  ASSERT_EQ(Apply(TestedPolicy()), "accepted");

  const auto policies = operations_.ListPolicies(10);
  ASSERT_TRUE(policies.has_value()) << policies.error().ToString();
  EXPECT_EQ(*(*policies->if_array())[0].Find("version")->if_integer(), 1);
}

TEST_F(PublicationOperationsTest, OnlineRolesAreRenewedBeforeTheyEnd) {
  const auto timestamp = [&] {
    return ReadFile(repository_.files_, "/repo/metadata/timestamp.json", 1 << 20).value();
  };
  ASSERT_TRUE(operations_.Renew(kNow).has_value());
  const Bytes first = timestamp();
  ASSERT_TRUE(operations_.Renew(kNow + Hours(1)).has_value());
  EXPECT_EQ(timestamp(), first) << "most of its life is left";
  ASSERT_TRUE(operations_.Renew(kNow + Hours(23)).has_value());
  EXPECT_NE(timestamp(), first);
}

TEST_F(PublicationOperationsTest, DraftThatWaitsForSignaturesDoesNotLetTheRepositoryExpire) {
  ASSERT_TRUE(operations_.Renew(kNow).has_value());
  ASSERT_TRUE(ota::SignPolicy(repository_.folder_, AsBytes(std::string_view("v1")), kNow + Days(90),
                              repository_.Key("policy-1")));

  EXPECT_TRUE(operations_.Renew(kNow + Hours(23)).has_value());
  EXPECT_EQ(RuleOf(operations_.Publish(alice_.who, kNow + Hours(23))), "repository.threshold");
}

TEST_F(PublicationOperationsTest, TimerPublishesNoDraft) {
  ASSERT_TRUE(operations_.Renew(kNow).has_value());
  for (const char* person : {"policy-1", "policy-2"})
    ASSERT_TRUE(ota::SignPolicy(repository_.folder_, AsBytes(std::string_view("v1")),
                                kNow + Days(90), repository_.Key(person)));

  ASSERT_TRUE(operations_.Renew(kNow + Hours(23)).has_value());

  EXPECT_TRUE(repository_.folder_.Staged("policy").has_value());
  EXPECT_FALSE(repository_.folder_.Published("policy").has_value());
}

}  // namespace
}  // namespace sallyport::server
