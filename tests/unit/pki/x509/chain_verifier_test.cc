#include "pki/x509/chain_verifier.h"

#include "tests/unit/pki/x509/draft.h"
#include "tests/unit/pki/x509/world.h"

namespace sallyport::pki {
namespace {

class VerifyPeerTest : public ::testing::Test {
 protected:
  World world;

  Result<VerifiedPeer> Verify(const Bytes& der, Role role, std::vector<Bytes> sent = {}) {
    return VerifyPeer(der, sent, world.anchors, role, world.domain, at);
  }
  std::string_view Rule(const Bytes& der, Role role, std::vector<Bytes> sent = {}) {
    const auto peer = Verify(der, role, std::move(sent));
    return peer ? "accepted" : peer.error().rule;
  }
  UnixTime at = world.now;
};

TEST_F(VerifyPeerTest, AcceptsEachRoleUnderItsOwnIssuer) {
  const auto device = Verify(world.Device().der, Role::kDevice);

  ASSERT_TRUE(device) << device.error().ToString();
  EXPECT_EQ(device->name(), world.device.text());
  EXPECT_EQ(device->extension()->epoch, 42u);
  EXPECT_EQ(Verify(world.Server().der, Role::kServer)->name(), "control");
  EXPECT_EQ(Verify(world.Operator().der, Role::kOperator)->name(), "alice");
}

TEST_F(VerifyPeerTest, RefusesALeafOfOneRoleInThePlaceOfAnother) {
  EXPECT_EQ(Rule(world.Device().der, Role::kServer), "peer.issuer-unknown");
  EXPECT_EQ(Rule(world.Device().der, Role::kOperator), "peer.issuer-unknown");
  EXPECT_EQ(Rule(world.Server().der, Role::kDevice), "peer.issuer-unknown");
  EXPECT_EQ(Rule(world.Operator().der, Role::kDevice), "peer.issuer-unknown");
}

TEST_F(VerifyPeerTest, RefusesAPathThatItsIssuerHasNoRoleFor) {
  const auto wrong = LeafTemplate::Make(world.hierarchy.device_issuer.certificate,
                                        world.hierarchy.device_issuer.key, world.domain);
  const auto leaf = wrong->IssueServer("control", {}, world.spki(),
                                       {world.now, world.now + Hours(1)}, world.random);

  EXPECT_EQ(Rule(leaf->der, Role::kDevice), "peer.role-path");
}

TEST_F(VerifyPeerTest, RefusesTheSecondBeforeAndTheSecondAfter) {
  const IssuedLeaf leaf = world.Device();
  at = leaf.not_before - Milliseconds(1);
  EXPECT_EQ(Rule(leaf.der, Role::kDevice), "peer.not-yet-valid");
  at = leaf.not_after + Milliseconds(999);
  EXPECT_EQ(Rule(leaf.der, Role::kDevice), "accepted");
  at = leaf.not_after + Seconds(1);
  EXPECT_EQ(Rule(leaf.der, Role::kDevice), "peer.expired");
}

TEST_F(VerifyPeerTest, RefusesAnExpiredIssuerEvenWhereTheLeafClaimsToLive) {
  IssuerCertificate& issuer = world.anchors.device_issuers[0];
  issuer.not_after = world.now - Seconds(1);
  EXPECT_EQ(Rule(world.Device().der, Role::kDevice), "peer.expired");
}

TEST_F(VerifyPeerTest, RefusesTheSameNamesSignedByAnotherKey) {
  IssuerKey impostor = world.hierarchy.device_issuer;
  impostor.key = *PrivateKey::Generate(KeyType::kP256);
  impostor.certificate.key = impostor.key.public_key();
  const auto signer = DeviceLeafSigner::Make(impostor, world.domain);
  const auto leaf = signer->SignDeviceLeaf(world.device, world.spki(), world.extension, world.now,
                                           world.now + Hours(1), world.random);

  EXPECT_EQ(Rule(leaf->der, Role::kDevice), "peer.signature");
}

TEST_F(VerifyPeerTest, RefusesAnotherTrustDomain) {
  const auto foreign =
      DeviceLeafSigner::Make(world.hierarchy.device_issuer, *TrustDomain::Parse("other.example"));
  const auto leaf = foreign->SignDeviceLeaf(world.device, world.spki(), world.extension, world.now,
                                            world.now + Hours(1), world.random);

  EXPECT_EQ(Rule(leaf->der, Role::kDevice), "peer.trust-domain");
}

TEST_F(VerifyPeerTest, RefusesAnIssuerOfAnotherHierarchy) {
  World other;
  other.random = FakeRandom(99);
  const Hierarchy hierarchy = *CreateHierarchy({world.domain}, other.random, world.now);
  const auto signer = DeviceLeafSigner::Make(hierarchy.device_issuer, world.domain);
  const auto leaf = signer->SignDeviceLeaf(world.device, world.spki(), world.extension, world.now,
                                           world.now + Hours(1), world.random);

  EXPECT_EQ(Rule(leaf->der, Role::kDevice, {hierarchy.device_issuer.certificate.der}),
            "peer.chain-foreign");
  EXPECT_EQ(Rule(leaf->der, Role::kDevice), "peer.issuer-unknown");
}

TEST_F(VerifyPeerTest, TakesNoTrustFromWhatThePeerSends) {
  const Bytes device = world.Device().der;

  EXPECT_EQ(Rule(device, Role::kDevice, {world.hierarchy.device_issuer.certificate.der}),
            "accepted");
  EXPECT_EQ(Rule(device, Role::kDevice, {world.hierarchy.pki_root.certificate.der}),
            "peer.chain-foreign");
  EXPECT_EQ(Rule(device, Role::kDevice, {world.hierarchy.server_issuer.certificate.der}),
            "peer.chain-foreign");
}

TEST_F(VerifyPeerTest, RefusesADeviceWithoutTheExtension) {
  Draft draft(world.spki());
  draft.Names({Draft::Name(kNameUri, DeviceSpiffeId(world.domain, world.device).text())});
  EXPECT_EQ(Rule(draft.SignedBy(world.hierarchy.device_issuer), Role::kDevice), "peer.extension");
  draft.Put("id", kIdentityExtensionOid, false, EncodeIdentityExtension(world.extension));
  EXPECT_EQ(Rule(draft.SignedBy(world.hierarchy.device_issuer), Role::kDevice), "accepted");
}

TEST_F(VerifyPeerTest, RefusesTheExtensionOnServersAndOperators) {
  Draft draft(world.spki());
  draft.Put("id", kIdentityExtensionOid, false, EncodeIdentityExtension(world.extension));
  EXPECT_EQ(Rule(draft.SignedBy(world.hierarchy.server_issuer), Role::kServer), "peer.extension");
  draft.Names({Draft::Name(kNameUri, "spiffe://edge.example/operator/alice")});
  EXPECT_EQ(Rule(draft.SignedBy(world.hierarchy.operator_root), Role::kOperator), "peer.extension");
}

TEST_F(VerifyPeerTest, RefusesHostNamesOutsideServers) {
  Draft draft(world.spki());
  draft.Names({Draft::Name(kNameUri, "spiffe://edge.example/operator/alice"),
               Draft::Name(kNameDns, "a.example")});
  EXPECT_EQ(Rule(draft.SignedBy(world.hierarchy.operator_root), Role::kOperator),
            "peer.host-names");
}

TEST_F(VerifyPeerTest, RefusesAWorkloadOfADevice) {
  Draft draft(world.spki());
  draft.Names(
      {Draft::Name(kNameUri, DeviceSpiffeId(world.domain, world.device).text() + "/workload/web")});
  EXPECT_EQ(Rule(draft.SignedBy(world.hierarchy.device_issuer), Role::kDevice), "peer.role-path");
}

}  // namespace
}  // namespace sallyport::pki
