#include "pki/ca/trust_bundle.h"

#include "tests/unit/pki/x509/world.h"

namespace sallyport::pki {
namespace {

class TrustBundleTest : public ::testing::Test {
 protected:
  World world;
  TrustBundle bundle = BundleOf(world.hierarchy, world.domain, 3);

  std::string_view Rule(const TrustBundle& changed) {
    const auto read = ParseTrustBundle(WriteTrustBundle(changed));
    return read ? "accepted" : read.error().rule;
  }
};

TEST_F(TrustBundleTest, ReadsBackAsWritten) {
  const auto read = ParseTrustBundle(WriteTrustBundle(bundle));

  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->sequence, 3);
  EXPECT_EQ(read->trust_domain, world.domain);
  EXPECT_EQ(WriteTrustBundle(*read), WriteTrustBundle(bundle));
  EXPECT_TRUE(
      VerifyPeer(world.Device().der, {}, read->Anchors(), Role::kDevice, world.domain, world.now));
}

TEST_F(TrustBundleTest, IsRefusedWhenCutAtAnyByte) {
  const std::string text = WriteTrustBundle(bundle);
  for (size_t size = 0; size < text.size(); ++size)
    EXPECT_FALSE(ParseTrustBundle(text.substr(0, size))) << size;
}

TEST_F(TrustBundleTest, RefusesIssuersThatItsRootDidNotSign) {
  const Hierarchy other = *CreateHierarchy({world.domain}, world.random, world.now);
  bundle.device_issuers.push_back(other.device_issuer.certificate);
  EXPECT_EQ(Rule(bundle), "bundle.issuer-signature");
  bundle = BundleOf(world.hierarchy, world.domain, 3);
  bundle.server_issuers[0] = other.server_issuer.certificate;
  EXPECT_EQ(Rule(bundle), "bundle.issuer-signature");
}

TEST_F(TrustBundleTest, RefusesRootsThatAreNotSelfSigned) {
  bundle.operator_root = world.hierarchy.device_issuer.certificate;
  EXPECT_EQ(Rule(bundle), "bundle.root-signature");
  bundle = BundleOf(world.hierarchy, world.domain, 3);
  bundle.pki_root = world.hierarchy.device_issuer.certificate;
  EXPECT_EQ(Rule(bundle), "bundle.root-signature");
}

TEST_F(TrustBundleTest, RefusesOneIssuerInTwoRoles) {
  bundle.server_issuers = bundle.device_issuers;
  EXPECT_EQ(Rule(bundle), "bundle.role-twice");
  bundle = BundleOf(world.hierarchy, world.domain, 3);
  bundle.operator_root = bundle.pki_root;
  EXPECT_EQ(Rule(bundle), "bundle.role-twice");
}

TEST_F(TrustBundleTest, NamesTheKeysOfStatementsEachForOneRole) {
  const PublicKey ed25519 = PrivateKey::Generate(KeyType::kEd25519)->public_key();
  const PublicKey p256 = PrivateKey::Generate(KeyType::kP256)->public_key();
  bundle.audit_key = ed25519;
  bundle.verdict_key = p256;
  EXPECT_EQ(Rule(bundle), "accepted");
  EXPECT_EQ(ParseTrustBundle(WriteTrustBundle(bundle))->audit_key->spki(), ed25519.spki());
  bundle.time_key = ed25519;
  EXPECT_EQ(Rule(bundle), "bundle.role-twice");
  bundle = BundleOf(world.hierarchy, world.domain, 3);
  bundle.verdict_key = bundle.pki_root.key;
  EXPECT_EQ(Rule(bundle), "bundle.role-twice");
  bundle = BundleOf(world.hierarchy, world.domain, 3);
  bundle.audit_key = p256;
  EXPECT_EQ(Rule(bundle), "bundle.audit-key");
  bundle.audit_key = ed25519;
  bundle.verdict_key = bundle.audit_key;
  EXPECT_EQ(Rule(bundle), "bundle.verdict-key");
}

TEST_F(TrustBundleTest, RefusesTooManyIssuers) {
  bundle.device_issuers.assign(kIssuersPerRoleMax + 1, bundle.device_issuers[0]);
  EXPECT_EQ(Rule(bundle), "bundle.issuers");
}

TEST_F(TrustBundleTest, RefusesUnknownDuplicateAndMissingKeysAndAnotherVersion) {
  const std::string text = WriteTrustBundle(bundle);
  const std::string rest = text.substr(1);
  EXPECT_EQ(ParseTrustBundle("{\"x\":1," + rest).error().rule, "json.unknown-key");
  EXPECT_EQ(ParseTrustBundle("{\"sequence\":4," + rest).error().rule, "json.duplicate-key");
  EXPECT_EQ(ParseTrustBundle("{\"sallyport\":\"trust-bundle/v1\"}").error().rule,
            "json.missing-key");
  std::string other = text;
  other.replace(other.find("trust-bundle/v1"), 15, "trust-bundle/v2");
  EXPECT_EQ(ParseTrustBundle(other).error().rule, "bundle.version");
}

}  // namespace
}  // namespace sallyport::pki
