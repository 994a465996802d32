#include "pki/x509/ek_chain.h"

#include "tests/fakes/soft_ek.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::pki {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);  // September 2026

Bytes Vector(const std::string& name) { return VectorFile("ek/" + name); }

EkRoots Roots(const std::vector<std::string>& names) {
  std::vector<Bytes> files;
  for (const std::string& name : names) files.push_back(Vector(name));
  return EkRoots::FromCertificates(files).value();
}

std::string_view ParseRule(ByteView bytes) {
  const auto parsed = ParseEkCertificate(bytes);
  return parsed.has_value() ? "" : parsed.error().rule;
}

std::string_view VerifyRule(const EkRoots& roots, const EkCertificate& leaf,
                            const std::vector<Bytes>& intermediates = {}, UnixTime now = kNow) {
  const auto verified = roots.Verify(leaf, intermediates, now);
  return verified.has_value() ? "" : verified.error().rule;
}

class FakeEkTest : public testing::Test {
 protected:
  Bytes Certificate(const EkCertificateOptions& options = {}) const {
    return vendor_.EkCertificate(ek_.public_key(), options);
  }
  EkRoots VendorRoots() const {
    return EkRoots::FromCertificates(std::vector<Bytes>{vendor_.root_der()}).value();
  }

  FakeTpmVendor vendor_;
  SoftEk ek_;
};

TEST(ParseEkCertificate, ReadsGoogleEccAndRsa) {
  EXPECT_EQ(ParseEkCertificate(Vector("gce__pca_tpm_ecc_enc_cert.pem")).value().key.type(),
            KeyType::kP256);
  EXPECT_EQ(ParseEkCertificate(Vector("gce__pca_tpm_rsa_enc_cert.pem")).value().key.bits(), 2048u);
}

TEST(ParseEkCertificate, CutsNvPaddingAndReadsACriticalSanWithAnEmptySubject) {
  const EkCertificate ek =
      ParseEkCertificate(Vector("keylime__st_sha256_with_rsa_der.der")).value();
  EXPECT_EQ(ek.manufacturer, "id:53544D20");
  EXPECT_EQ(ek.model, "ST33HTPHAHB4");
  EXPECT_EQ(ek.version, "id:00490004");
  EXPECT_EQ(ek.der.size(), 1600u - 431u);
}

TEST(ParseEkCertificate, ReadsANameThatIsNotStrictDer) {
  const EkCertificate ek =
      ParseEkCertificate(Vector("keylime__certificate_wrapper_malformed.der")).value();
  EXPECT_EQ(ek.manufacturer, "id:4E544300");
  EXPECT_EQ(ek.model, "NPCT75x");
}

TEST(ParseEkCertificate, RefusesASigningCertificateOfTheSameTpm) {
  EXPECT_EQ(ParseRule(Vector("gce__pca_tpm_rsa_sign_cert.pem")), "ek.key-usage");
}

TEST(ParseEkCertificate, RefusesAVendorsRoot) {
  EXPECT_EQ(ParseRule(Vector("keylime__nuvoton_ecdsa_sha256_der.der")), "ek.key-usage");
}

TEST(ParseEkCertificate, RefusesAnNvHeaderThatLies) {
  EXPECT_EQ(ParseRule(Vector("goattest__bug142_nvheader_overflow.bin")), "ek.der");
}

TEST(ParseEkCertificate, RefusesOversizeBeforeReading) {
  EXPECT_EQ(ParseRule(Bytes(kEkCertificateBytesMax + 1, 0x30)), "ek.size");
}

TEST_F(FakeEkTest, AcceptsACertificateThatNeverEnds) {
  EXPECT_EQ(ParseEkCertificate(Certificate()).value().not_after,
            UnixTime::FromSeconds(253402300799));
}

TEST_F(FakeEkTest, RefusesTruncationAtEveryByte) {
  const Bytes whole = Certificate();
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(ParseRule(ByteView(whole).first(size)), "ek.der") << size;
}

TEST_F(FakeEkTest, RefusesBytesBehindTheCertificateThatAreNoPadding) {
  Bytes bytes = Certificate();
  bytes.insert(bytes.end(), {0x00, 0xff});
  EXPECT_EQ(ParseRule(bytes), "ek.der");
}

TEST_F(FakeEkTest, RefusesEachBreachOfTheProfile) {
  EXPECT_EQ(ParseRule(Certificate({.key_usage = "critical,digitalSignature"})), "ek.key-usage");
  EXPECT_EQ(ParseRule(Certificate({.key_usage = "critical,keyEncipherment"})), "ek.key-usage");
  EXPECT_EQ(ParseRule(Certificate({.key_usage = ""})), "ek.key-usage");
  EXPECT_EQ(ParseRule(Certificate({.extended_key_usage = "clientAuth"})), "ek.extended-key-usage");
  EXPECT_EQ(ParseRule(Certificate({.is_ca = true})), "ek.ca");
}

TEST_F(FakeEkTest, AcceptsWhatTheProfileLeavesOpen) {
  EXPECT_EQ(ParseRule(Certificate({.extended_key_usage = ""})), "");
  EXPECT_EQ(ParseEkCertificate(Certificate({.tpm_name = false})).value().manufacturer, "");
  EXPECT_EQ(ParseEkCertificate(Certificate()).value().model, "FakeTPM");
}

TEST(EkRoots, VerifiesRealChains) {
  const EkCertificate google = ParseEkCertificate(Vector("gce__pca_tpm_ecc_enc_cert.pem")).value();
  const EkCertificate st =
      ParseEkCertificate(Vector("keylime__st_sha256_with_rsa_der.der")).value();
  const EkCertificate nuvoton =
      ParseEkCertificate(Vector("keylime__certificate_wrapper_malformed.der")).value();

  EXPECT_EQ(
      VerifyRule(Roots({"gcp_ek_ak_ca_root.crt", "gcp_ek_ak_ca_intermediate_v3.crt"}), google), "");
  EXPECT_EQ(VerifyRule(Roots({"GS_TPM_RT.pem", "STM_RSA_RT.pem", "STM_RSA_05I.pem"}), st), "");
  EXPECT_EQ(VerifyRule(Roots({"NUVO_2111.pem"}), nuvoton), "");
}

TEST(EkRoots, RefusesAnotherVendorsChain) {
  const EkCertificate google = ParseEkCertificate(Vector("gce__pca_tpm_ecc_enc_cert.pem")).value();
  EXPECT_EQ(VerifyRule(Roots({"NUVO_2111.pem"}), google), "ek.chain");
}

TEST(EkRoots, RefusesAChainWithAHole) {
  const EkCertificate google = ParseEkCertificate(Vector("gce__pca_tpm_ecc_enc_cert.pem")).value();
  EXPECT_EQ(VerifyRule(Roots({"gcp_ek_ak_ca_root.crt"}), google), "ek.chain");
}

TEST_F(FakeEkTest, IntermediatesOfTheTpmCloseAHoleButAddNoTrust) {
  const EkCertificate leaf = ParseEkCertificate(Certificate()).value();
  EXPECT_EQ(VerifyRule(VendorRoots(), leaf), "ek.chain");
  EXPECT_EQ(VerifyRule(VendorRoots(), leaf, {vendor_.intermediate_der()}), "");
  EXPECT_EQ(
      VerifyRule(Roots({"NUVO_2111.pem"}), leaf, {vendor_.intermediate_der(), vendor_.root_der()}),
      "ek.chain");
}

TEST_F(FakeEkTest, RefusesAnEndedCertificateBySeconds) {
  const EkCertificate leaf = ParseEkCertificate(Certificate({.not_after = 1'600'000'000})).value();
  const std::vector<Bytes> between{vendor_.intermediate_der()};
  EXPECT_EQ(VerifyRule(VendorRoots(), leaf, between, UnixTime::FromSeconds(1'599'999'999)), "");
  EXPECT_EQ(VerifyRule(VendorRoots(), leaf, between, UnixTime::FromSeconds(1'600'000'001)),
            "ek.expired");
  EXPECT_EQ(VerifyRule(VendorRoots(), leaf, between, UnixTime::FromSeconds(1'400'000'000)),
            "ek.expired");
}

TEST_F(FakeEkTest, RefusesASignatureWithAFlippedBit) {
  Bytes der = Certificate();
  der.back() ^= 1;
  const auto leaf = ParseEkCertificate(der);
  ASSERT_TRUE(leaf.has_value());
  EXPECT_EQ(VerifyRule(VendorRoots(), *leaf, {vendor_.intermediate_der()}), "ek.chain");
}

TEST_F(FakeEkTest, RefusesTooLongAChainAndGarbageInIt) {
  const EkCertificate leaf = ParseEkCertificate(Certificate()).value();
  EXPECT_EQ(VerifyRule(VendorRoots(), leaf, std::vector<Bytes>(4, vendor_.intermediate_der())),
            "ek.chain-length");
  EXPECT_EQ(VerifyRule(VendorRoots(), leaf, {Bytes{1, 2, 3}}), "ek.der");
  EXPECT_EQ(VerifyRule(VendorRoots(), leaf, {Bytes(kEkCertificateBytesMax + 1)}), "ek.size");
}

TEST_F(FakeEkTest, RootsNeedAnAnchorAndNothingButCertificates) {
  EXPECT_EQ(EkRoots::FromCertificates({}).error().rule, "ek.no-root");
  EXPECT_EQ(EkRoots::FromCertificates(std::vector<Bytes>{vendor_.intermediate_der()}).error().rule,
            "ek.no-root");
  EXPECT_EQ(EkRoots::FromCertificates(std::vector<Bytes>{Bytes{1}}).error().rule, "ek.root");
  EXPECT_EQ(VendorRoots().anchor_count(), 1u);
}

}  // namespace
}  // namespace sallyport::pki
