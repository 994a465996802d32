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

std::string_view VerifyRule(const EkRoots& roots, const EkCertificate& leaf,
                            const std::vector<Bytes>& intermediates = {}, UnixTime now = kNow) {
  const auto verified = roots.Verify(leaf, intermediates, now);
  return verified.has_value() ? "" : verified.error().rule;
}

class FakeEkTest : public testing::Test {
 protected:
  EkCertificate Leaf(const EkCertificateOptions& options = {}) const {
    return ReadEkCertificate(vendor_.EkCertificate(ek_.public_key(), options)).value();
  }
  EkRoots VendorRoots() const {
    return EkRoots::FromCertificates(std::vector<Bytes>{vendor_.root_der()}).value();
  }

  FakeTpmVendor vendor_;
  SoftEk ek_;
  const std::vector<Bytes> between_{vendor_.intermediate_der()};
};

TEST(EkRoots, VerifiesRealChains) {
  const EkCertificate google = ReadEkCertificate(Vector("gce__pca_tpm_ecc_enc_cert.pem")).value();
  const EkCertificate st = ReadEkCertificate(Vector("keylime__st_sha256_with_rsa_der.der")).value();
  const EkCertificate nuvoton =
      ReadEkCertificate(Vector("keylime__certificate_wrapper_malformed.der")).value();

  EXPECT_EQ(
      VerifyRule(Roots({"gcp_ek_ak_ca_root.crt", "gcp_ek_ak_ca_intermediate_v3.crt"}), google), "");
  EXPECT_EQ(VerifyRule(Roots({"GS_TPM_RT.pem", "STM_RSA_RT.pem", "STM_RSA_05I.pem"}), st), "");
  EXPECT_EQ(VerifyRule(Roots({"NUVO_2111.pem"}), nuvoton), "");
}

TEST(EkRoots, RefusesAnotherVendorsChain) {
  const EkCertificate google = ReadEkCertificate(Vector("gce__pca_tpm_ecc_enc_cert.pem")).value();
  EXPECT_EQ(VerifyRule(Roots({"NUVO_2111.pem"}), google), "ek.chain");
}

TEST(EkRoots, RefusesAChainWithAHole) {
  const EkCertificate google = ReadEkCertificate(Vector("gce__pca_tpm_ecc_enc_cert.pem")).value();
  EXPECT_EQ(VerifyRule(Roots({"gcp_ek_ak_ca_root.crt"}), google), "ek.chain");
}

TEST_F(FakeEkTest, IntermediatesOfTheTpmCloseAHoleButAddNoTrust) {
  EXPECT_EQ(VerifyRule(VendorRoots(), Leaf()), "ek.chain");
  EXPECT_EQ(VerifyRule(VendorRoots(), Leaf(), between_), "");
  EXPECT_EQ(VerifyRule(Roots({"NUVO_2111.pem"}), Leaf(),
                       {vendor_.intermediate_der(), vendor_.root_der()}),
            "ek.chain");
}

TEST_F(FakeEkTest, APinnedIntermediateIsAnAnchorWhereItsIssuerIsNotPinned) {
  const EkRoots pinned = EkRoots::FromCertificates(between_).value();
  EXPECT_EQ(pinned.anchor_count(), 0u);
  EXPECT_EQ(pinned.intermediate_count(), 1u);
  EXPECT_EQ(VerifyRule(pinned, Leaf()), "");
  EXPECT_EQ(VerifyRule(pinned, Leaf({.not_after = 1'600'000'000})), "ek.expired");
  EXPECT_EQ(pinned.Judge(Leaf(), {}, kNow).chain.size(), 2u);
}

TEST_F(FakeEkTest, AnIntermediateOfTheTpmIsNeverAnAnchor) {
  EXPECT_EQ(VerifyRule(Roots({"NUVO_2111.pem"}), Leaf(), between_), "ek.chain");
}

TEST_F(FakeEkTest, RefusesAnEndedCertificateBySeconds) {
  const EkCertificate leaf = Leaf({.not_after = 1'600'000'000});
  EXPECT_EQ(VerifyRule(VendorRoots(), leaf, between_, UnixTime::FromSeconds(1'599'999'999)), "");
  EXPECT_EQ(VerifyRule(VendorRoots(), leaf, between_, UnixTime::FromSeconds(1'600'000'001)),
            "ek.expired");
  EXPECT_EQ(VerifyRule(VendorRoots(), leaf, between_, UnixTime::FromSeconds(1'499'999'999)),
            "ek.not-yet-valid");
}

TEST(EkRoots, RefusesAnIssuerThatHasEnded) {
  const FakeTpmVendor vendor({.not_after = 1'600'000'000});
  const EkCertificate leaf = ReadEkCertificate(vendor.EkCertificate(SoftEk().public_key())).value();
  const EkRoots roots =
      EkRoots::FromCertificates(std::vector<Bytes>{vendor.root_der(), vendor.intermediate_der()})
          .value();
  EXPECT_EQ(VerifyRule(roots, leaf, {}, UnixTime::FromSeconds(1'599'999'999)), "");
  EXPECT_EQ(VerifyRule(roots, leaf, {}, kNow), "ek.expired");
}

TEST(EkRoots, RefusesAnIssuerThatIsNoCaOrMayNotSign) {
  for (const FakeCaOptions& wrong : {FakeCaOptions{.constraints = "critical,CA:FALSE"},
                                     FakeCaOptions{.key_usage = "critical,digitalSignature"}}) {
    const FakeTpmVendor vendor(wrong);
    const EkCertificate leaf =
        ReadEkCertificate(vendor.EkCertificate(SoftEk().public_key())).value();
    const EkRoots roots = EkRoots::FromCertificates(std::vector<Bytes>{vendor.root_der()}).value();
    EXPECT_EQ(VerifyRule(roots, leaf, {vendor.intermediate_der()}), "ek.chain");
  }
}

TEST_F(FakeEkTest, RefusesASignatureWithAFlippedBit) {
  Bytes der = vendor_.EkCertificate(ek_.public_key());
  der.back() ^= 1;
  EXPECT_EQ(VerifyRule(VendorRoots(), ReadEkCertificate(der).value(), between_), "ek.signature");
}

TEST_F(FakeEkTest, RefusesSha1) {
  EXPECT_EQ(VerifyRule(VendorRoots(), Leaf({.sha1 = true}), between_), "ek.chain-strength");
}

TEST_F(FakeEkTest, SaysEverythingThatIsWrongWithAChain) {
  const auto judged =
      VendorRoots().Judge(Leaf({.sha1 = true, .not_after = 1'600'000'000}), between_, kNow);
  ASSERT_EQ(judged.checks.size(), 3u);
  EXPECT_EQ(judged.checks[0].result, CheckResult::kPass);
  EXPECT_EQ(judged.checks[1].rule, "ek.chain-strength");
  EXPECT_EQ(judged.checks[2].rule, "ek.expired");
  EXPECT_EQ(judged.chain.size(), 3u);
}

TEST_F(FakeEkTest, RefusesTooLongAChainAndGarbageInIt) {
  EXPECT_EQ(VerifyRule(VendorRoots(), Leaf(),
                       std::vector<Bytes>(kEkChainMax, vendor_.intermediate_der())),
            "ek.chain-length");
  EXPECT_EQ(VerifyRule(VendorRoots(), Leaf(), {Bytes{1, 2, 3}}), "ek.der");
  EXPECT_EQ(VerifyRule(VendorRoots(), Leaf(), {Bytes(kEkCertificateBytesMax + 1)}), "ek.size");
}

TEST_F(FakeEkTest, ListsOfTheProfileBindTheirIssuersAlone) {
  const std::vector<Bytes> pinned{vendor_.root_der(), vendor_.intermediate_der()};
  const auto rule = [&](const Bytes& list) {
    const EkRoots roots = EkRoots::FromCertificates(pinned, EkCrl::FromFile(list).value()).value();
    return VerifyRule(roots, Leaf({.serial = 9}));
  };
  EXPECT_EQ(rule(vendor_.Crl()), "");
  EXPECT_EQ(rule(vendor_.Crl({.revoked = {9}})), "crl.revoked");
  EXPECT_EQ(rule(vendor_.Crl({.next_update = 1'700'000'000})), "crl.stale");
}

TEST_F(FakeEkTest, AListThatIsGivenMustBeOfTheChain) {
  const EkCertificate google = ReadEkCertificate(Vector("gce__pca_tpm_ecc_enc_cert.pem")).value();
  const EkRoots roots = Roots({"gcp_ek_ak_ca_root.crt", "gcp_ek_ak_ca_intermediate_v3.crt"});
  const auto lists = EkCrl::FromFile(vendor_.Crl()).value();
  EXPECT_EQ(RequireAll(roots.Judge(google, {}, kNow, lists).checks).error().rule, "crl.issuer");
}

TEST_F(FakeEkTest, RootsAreCaCertificatesAndNothingElse) {
  EXPECT_EQ(EkRoots::FromCertificates({}).error().rule, "ek.no-root");
  EXPECT_EQ(EkRoots::FromCertificates(std::vector<Bytes>{vendor_.EkCertificate(ek_.public_key())})
                .error()
                .rule,
            "ek.no-root");
  EXPECT_EQ(EkRoots::FromCertificates(std::vector<Bytes>{Bytes{1}}).error().rule, "ek.root");
  EXPECT_EQ(VendorRoots().anchor_count(), 1u);
}

}  // namespace
}  // namespace sallyport::pki
