#include "tests/unit/pki/x509/draft.h"
#include "tests/unit/pki/x509/world.h"

namespace sallyport::pki {
namespace {

class CertificateRules : public ::testing::Test {
 protected:
  World world;
  Draft draft{world.spki()};
};

TEST_F(CertificateRules, AcceptTheUnchangedDraft) { EXPECT_EQ(draft.Rule(), "accepted"); }

TEST_F(CertificateRules, WantExactlyOneUriThatIsASpiffeId) {
  const Bytes uri = Draft::Name(kNameUri, "spiffe://edge.example/server/a");
  draft.Names({uri, uri});
  EXPECT_EQ(draft.Rule(), "certificate.san-uri");
  draft.Names({Draft::Name(kNameDns, "a.example")});
  EXPECT_EQ(draft.Rule(), "certificate.san-uri");
  draft.Names({});
  EXPECT_EQ(draft.Rule(), "certificate.san-uri");
  for (const std::string_view bad :
       {std::string_view("https://edge.example/a"), std::string_view("spiffe://Edge/a"),
        std::string_view("spiffe://edge.example/server/a\0b", 32), std::string_view()}) {
    draft.Names({Draft::Name(kNameUri, bad)});
    EXPECT_EQ(draft.Rule(), "certificate.san-uri") << bad;
  }
}

TEST_F(CertificateRules, RefuseOtherNamesAndMalformedHosts) {
  const Bytes uri = Draft::Name(kNameUri, "spiffe://edge.example/server/a");
  for (const Bytes& other :
       {Draft::Name(0x81, "a@b"), Draft::Name(kNameDns, std::string_view("a\0b", 3)),
        Draft::Name(kNameDns, ""), Draft::Name(kNameIp, "12345"), Draft::Name(kNameDns, "a..b")}) {
    draft.Names({uri, other});
    EXPECT_EQ(draft.Rule(), "certificate.san");
  }
}

TEST_F(CertificateRules, WantTheSubjectAltNameCriticalExactlyWhenTheSubjectIsEmpty) {
  const Bytes uri = Draft::Name(kNameUri, "spiffe://edge.example/server/a");
  draft.Names({uri}, false);
  EXPECT_EQ(draft.Rule(), "certificate.extension-critical");
  draft.subject = Draft::Sequence({Draft::Sequence({})});
  EXPECT_EQ(draft.Rule(), "accepted");
}

TEST_F(CertificateRules, RefuseACa) {
  draft.Put("basic", kOidBasicConstraints, true, Bytes{0x30, 0x03, 0x01, 0x01, 0xFF});
  EXPECT_EQ(draft.Rule(), "certificate.ca");
  draft.extensions.erase("basic");
  EXPECT_EQ(draft.Rule(), "certificate.ca");
}

TEST_F(CertificateRules, WantDigitalSignatureAloneAndBothPurposes) {
  draft.Put("usage", kOidKeyUsage, true, kKeyUsageCertAndCrlSign);
  EXPECT_EQ(draft.Rule(), "certificate.usage");
  draft = Draft(world.spki());
  draft.extensions.erase("usage");
  EXPECT_EQ(draft.Rule(), "certificate.usage");
  for (const auto& purposes :
       {std::vector<ByteView>{kOidClientAuth},
        std::vector<ByteView>{kOidClientAuth, kOidClientAuth},
        std::vector<ByteView>{kOidClientAuth, kOidServerAuth, kOidServerAuth}}) {
    draft = Draft(world.spki());
    draft.Put("purpose", kOidExtKeyUsage, false, Draft::Purposes(purposes));
    EXPECT_EQ(draft.Rule(), "certificate.usage");
  }
}

TEST_F(CertificateRules, RefuseUnknownCriticalExtensionsAndIgnoreOthers) {
  const Bytes oid{0x2A, 0x03};
  draft.Put("x", oid, false, Bytes{0x05, 0x00});
  EXPECT_EQ(draft.Rule(), "accepted");
  draft.Put("x", oid, true, Bytes{0x05, 0x00});
  EXPECT_EQ(draft.Rule(), "certificate.extension-critical");
}

TEST_F(CertificateRules, RefuseAnExtensionTwice) {
  draft.Put("z", kOidKeyUsage, true, kKeyUsageDigitalSignature);
  EXPECT_EQ(draft.Rule(), "certificate.extension-twice");
}

TEST_F(CertificateRules, WantTheIdentityExtensionNotCriticalAndOfAKnownVersion) {
  Bytes value = EncodeIdentityExtension(world.extension);
  draft.Put("id", kIdentityExtensionOid, true, value);
  EXPECT_EQ(draft.Rule(), "certificate.extension-critical");
  draft.Put("id", kIdentityExtensionOid, false, value);
  EXPECT_EQ(draft.Rule(), "accepted");
  value[4] = 2;
  draft.Put("id", kIdentityExtensionOid, false, value);
  EXPECT_EQ(draft.Rule(), "extension.version");
}

TEST_F(CertificateRules, WantVersionThreeAndOneAlgorithm) {
  draft.version = {0xA0, 0x03, 0x02, 0x01, 0x01};
  EXPECT_EQ(draft.Rule(), "certificate.version");
  draft.version = {};
  EXPECT_EQ(draft.Rule(), "certificate.version");
  draft = Draft(world.spki());
  draft.outer_algorithm[11] = 3;  // ecdsa-with-SHA384
  EXPECT_EQ(draft.Rule(), "certificate.algorithm");
  draft = Draft(world.spki());
  draft.algorithm[11] = 3;
  EXPECT_EQ(draft.Rule(), "certificate.algorithm");
}

TEST_F(CertificateRules, WantAPositiveSerialOfAtMostTwentyBytes) {
  draft.serial = {0x02, 0x01, 0x80};
  EXPECT_EQ(draft.Rule(), "certificate.serial");
  draft.serial = {0x02, 0x01, 0x00};
  EXPECT_EQ(draft.Rule(), "certificate.serial");
  draft.serial = der::EncodeUnsignedBytes(Bytes(21, 1));
  EXPECT_EQ(draft.Rule(), "certificate.serial");
}

TEST_F(CertificateRules, WantAValidityThatDoesNotEndBeforeItBegins) {
  draft.not_after = draft.not_before - Seconds(1);
  EXPECT_EQ(draft.Rule(), "certificate.validity");
}

TEST_F(CertificateRules, WantAP256KeyAndAnIssuerKeyId) {
  draft.spki = PrivateKey::Generate(KeyType::kEd25519)->public_key().spki();
  EXPECT_EQ(draft.Rule(), "certificate.key");
  draft = Draft(world.spki());
  draft.extensions.erase("aki");
  EXPECT_EQ(draft.Rule(), "certificate.key-id");
}

}  // namespace
}  // namespace sallyport::pki
