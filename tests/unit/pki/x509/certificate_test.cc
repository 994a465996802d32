#include "pki/x509/certificate.h"

#include "tests/unit/pki/x509/world.h"

namespace sallyport::pki {
namespace {

class Certificate : public ::testing::Test {
 protected:
  World world;
  IssuedLeaf leaf = world.Device();
};

TEST_F(Certificate, OfADeviceReadsBackAsIssued) {
  const auto read = ParseIdentityCertificate(leaf.der);

  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->spiffe_id, DeviceSpiffeId(world.domain, world.device));
  EXPECT_EQ(read->serial, leaf.serial);
  EXPECT_EQ(read->not_before, leaf.not_before);
  EXPECT_EQ(read->not_after, leaf.not_after);
  EXPECT_EQ(read->spki, world.spki());
  EXPECT_EQ(read->extension, world.extension);
  EXPECT_EQ(read->issuer_key_id, world.devices.issuer().key_id);
  EXPECT_EQ(read->der, leaf.der);
}

TEST_F(Certificate, OfAServerCarriesItsHostNames) {
  const auto read = ParseIdentityCertificate(world.Server().der);

  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->spiffe_id.text(), "spiffe://edge.example/server/control");
  EXPECT_EQ(read->dns_names, std::vector<std::string>{"control.edge.example"});
  EXPECT_EQ(read->ip_addresses, std::vector<Bytes>{(Bytes{127, 0, 0, 1})});
  EXPECT_FALSE(read->extension);
}

TEST_F(Certificate, OfAnOperatorHasNeitherHostNamesNorExtension) {
  const auto read = ParseIdentityCertificate(world.Operator().der);

  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->spiffe_id.text(), "spiffe://edge.example/operator/alice");
  EXPECT_TRUE(read->dns_names.empty());
  EXPECT_FALSE(read->extension);
}

TEST_F(Certificate, IsRefusedWhenCutAtAnyByte) {
  for (size_t size = 0; size < leaf.der.size(); ++size)
    EXPECT_FALSE(ParseIdentityCertificate(ByteView(leaf.der).first(size))) << size;
}

TEST_F(Certificate, IsRefusedWithATrailingByteOrTooManyBytes) {
  Bytes longer = leaf.der;
  longer.push_back(0);

  EXPECT_EQ(ParseIdentityCertificate(longer).error().rule, "certificate.der");
  EXPECT_EQ(ParseIdentityCertificate(Bytes(20000)).error().reason, Reason::kTooLarge);
}

TEST_F(Certificate, SurvivesEveryFlippedBitAndNeverVerifiesWithOne) {
  for (size_t bit = 0; bit < leaf.der.size() * 8; ++bit) {
    Bytes bad = leaf.der;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(VerifyPeer(bad, {}, world.anchors, Role::kDevice, world.domain, world.now)) << bit;
  }
}

TEST_F(Certificate, OfAnIssuerIsNoLeaf) {
  EXPECT_FALSE(ParseIdentityCertificate(world.hierarchy.pki_root.certificate.der));
  EXPECT_EQ(ParseIdentityCertificate(world.hierarchy.device_issuer.certificate.der).error().rule,
            "certificate.ca");
}

TEST_F(Certificate, OfALeafIsNoIssuer) {
  EXPECT_EQ(ParseIssuerCertificate(leaf.der).error().rule, "certificate.ca");
}

TEST_F(Certificate, OfAnIssuerSurvivesTruncationAndEveryFlippedBit) {
  const IssuerCertificate& issuer = world.hierarchy.device_issuer.certificate;
  for (size_t size = 0; size < issuer.der.size(); ++size)
    EXPECT_FALSE(ParseIssuerCertificate(ByteView(issuer.der).first(size))) << size;
  for (size_t bit = 0; bit < issuer.der.size() * 8; ++bit) {
    Bytes bad = issuer.der;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto read = ParseIssuerCertificate(bad);
    EXPECT_FALSE(read && CheckIssuedBy(*read, world.hierarchy.pki_root.certificate)) << bit;
  }
}

}  // namespace
}  // namespace sallyport::pki
