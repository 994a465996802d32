#include "ota/repository/ceremony.h"

#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

class CeremonyTest : public RepositoryFixture {};

TEST_F(CeremonyTest, FoundsARepositoryThatDevicesTrust) {
  const auto trusted = Refresh();
  ASSERT_TRUE(trusted) << trusted.error().ToString();
  EXPECT_EQ(trusted->root().keys(Role::kRoot).threshold(), 2U);
  EXPECT_EQ(trusted->root().keys(Role::kRoot).keyids().size(), 3U);
  EXPECT_EQ(trusted->root().keys(Role::kTargets).threshold(), 2U);
  EXPECT_EQ(trusted->top().FindDelegation("policy")->keys.threshold(), 2U);
  EXPECT_FALSE(trusted->root().profile->development);
}

TEST_F(CeremonyTest, FoundsADirectorRootWithItsOwnOnlineKeys) {
  const Bytes root = ReadFile(files_, "/repo/director/1.root.json", kRootSizeMax).value();
  const auto director = TrustedMetadata::Start(root, kNow, DirectorRules("edge.example"));
  ASSERT_TRUE(director) << director.error().ToString();
  const auto targets = LoadPublicKey(files_, "/keys/online/director-targets.pem.pub").value();
  EXPECT_NE(director->root().keys(Role::kTargets).Find(KeyId(targets)), nullptr);
  EXPECT_EQ(Refresh()->root().keys(Role::kTargets).Find(KeyId(targets)), nullptr);
}

TEST_F(CeremonyTest, NeverFoundsTwice) {
  EXPECT_EQ(FoundUpdateTrust(files_, "/keys2", "/repo", options_, kNow).error().name(),
            "ceremony.repository-exists");
  EXPECT_EQ(FoundUpdateTrust(files_, "/keys", "/repo2", options_, kNow).error().name(),
            "key.exists");
}

TEST_F(CeremonyTest, AllowsAThresholdOfOneOnlyInDevelopment) {
  CeremonyOptions one{.trust_domain = "edge.example", .threshold = 1};
  EXPECT_EQ(FoundUpdateTrust(files_, "/k", "/r", one, kNow).error().name(), "ceremony.threshold");
  one.threshold = 0;
  EXPECT_EQ(FoundUpdateTrust(files_, "/k", "/r", one, kNow).error().name(), "ceremony.threshold");
  one.threshold = 1;
  one.development = true;
  EXPECT_TRUE(FoundUpdateTrust(files_, "/k", "/r", one, kNow));
}

TEST_F(CeremonyTest, SealsKeysWithTheirPassphrases) {
  const CeremonyOptions sealed{.trust_domain = "edge.example",
                               .development = true,
                               .threshold = 1,
                               .offline_passphrase = "offline",
                               .online_passphrase = "online",
                               .offline_kdf = pki::kKdfForTests,
                               .online_kdf = pki::kKdfForTests};
  ASSERT_TRUE(FoundUpdateTrust(files_, "/k", "/r", sealed, kNow));
  EXPECT_EQ(LoadSigner(files_, "/k/offline/root-1.pem", "online").error().reason,
            Reason::kBadSignature);
  EXPECT_TRUE(LoadSigner(files_, "/k/offline/root-1.pem", "offline"));
  EXPECT_FALSE(LoadOnlineKeys(files_, "/k", "offline"));
  EXPECT_TRUE(LoadOnlineKeys(files_, "/k", "online"));
}

}  // namespace
}  // namespace sallyport::ota
