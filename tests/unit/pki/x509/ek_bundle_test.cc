#include "pki/x509/ek_bundle.h"

#include "pki/x509/pem.h"
#include "tests/fakes/soft_ek.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::pki {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

std::vector<std::string> RulesOf(const EkBundle& bundle) {
  std::vector<std::string> out;
  for (const EkBundleRefusal& refusal : bundle.refused) out.emplace_back(refusal.rule);
  return out;
}

EkBundle Screen(const std::vector<Bytes>& certificates, const std::vector<Bytes>& lists = {},
                UnixTime now = kNow) {
  std::vector<EkBundleFile> files;
  for (const Bytes& bytes : certificates) files.push_back({"", "file", bytes});
  for (const Bytes& bytes : lists) files.push_back({"", "list", bytes, true});
  return ScreenEkBundle(files, now);
}

// Rule is the one refusal of a bundle.
std::string Rule(const std::vector<Bytes>& certificates, const std::vector<Bytes>& lists = {}) {
  const std::vector<std::string> rules = RulesOf(Screen(certificates, lists));
  EXPECT_EQ(rules.size(), 1u);
  return rules.empty() ? "" : rules.front();
}

class EkBundleTest : public testing::Test {
 protected:
  const FakeTpmVendor vendor_;
};

TEST_F(EkBundleTest, TakesRootsAndIntermediatesOnce) {
  const Bytes pem =
      ToBytes(CertificatePem(vendor_.intermediate_der()) + CertificatePem(vendor_.root_der()));
  const EkBundle bundle = Screen({vendor_.root_der(), pem});
  EXPECT_TRUE(bundle.refused.empty());
  ASSERT_EQ(bundle.certificates.size(), 2u);
  EXPECT_FALSE(bundle.certificates[0].anchor);
  EXPECT_TRUE(bundle.certificates[1].anchor);
  EXPECT_EQ(bundle.certificates[1].subject, "CN=Fake TPM root");
}

TEST_F(EkBundleTest, NamesTheVendorByFolderOrBySubject) {
  EXPECT_EQ(Screen({VectorFile("ek/GS_TPM_RT.pem")}).certificates[0].vendor, "STM");
  EXPECT_EQ(Screen({VectorFile("ek/NUVO_2111.pem")}).certificates[0].vendor, "NTC");
  EXPECT_EQ(Screen({vendor_.root_der()}).certificates[0].vendor, "other");
  const std::vector<EkBundleFile> files{{"ACME", "root.der", vendor_.root_der()}};
  EXPECT_EQ(ScreenEkBundle(files, kNow).certificates[0].vendor, "ACME");
}

TEST_F(EkBundleTest, RefusesWhatIsNoCertificate) {
  EXPECT_EQ(Rule({ToBytes("none")}), "bundle.certificate");
  EXPECT_EQ(Rule({ToBytes("-----BEGIN CERTIFICATE-----\nAAAA\n")}), "bundle.certificate");
}

TEST_F(EkBundleTest, RefusesCertificatesThatAreNoCa) {
  EXPECT_EQ(Rule({vendor_.EkCertificate(SoftEk().public_key())}), "bundle.not-ca");
  EXPECT_EQ(Rule({FakeCaCertificate("x", {.constraints = "critical,CA:FALSE"})}), "bundle.not-ca");
  EXPECT_EQ(Rule({FakeCaCertificate("x", {.key_usage = "critical,cRLSign"})}), "bundle.not-ca");
}

TEST_F(EkBundleTest, RefusesCertificatesOutsideTheirTimeBySeconds) {
  const Bytes ended = FakeCaCertificate("x", {.not_after = 1'790'000'000});
  EXPECT_TRUE(Screen({ended}).refused.empty());
  EXPECT_EQ(RulesOf(Screen({ended}, {}, UnixTime::FromSeconds(1'790'000'001))),
            std::vector<std::string>{"bundle.expired"});
  EXPECT_EQ(RulesOf(Screen({ended}, {}, UnixTime::FromSeconds(1'499'999'999))),
            std::vector<std::string>{"bundle.not-yet-valid"});
}

TEST_F(EkBundleTest, RefusesWeakKeysAndSignatures) {
  EXPECT_EQ(Rule({FakeCaCertificate("x", {.rsa_bits = 1024})}), "bundle.weak-key");
  EXPECT_EQ(Rule({VectorFile("ek/roots-keylime/IFX15.pem")}), "bundle.weak-signature");
}

TEST_F(EkBundleTest, RefusesForgedCertificatesAndThoseOfARefusedIssuer) {
  Bytes root = vendor_.root_der();
  root.back() ^= 1;
  EXPECT_EQ(RulesOf(Screen({root, vendor_.intermediate_der()})),
            (std::vector<std::string>{"bundle.signature", "bundle.orphan"}));
  const FakeTpmVendor other;
  EXPECT_EQ(Rule({other.root_der(), vendor_.intermediate_der()}), "bundle.signature");
}

TEST_F(EkBundleTest, AnIntermediateWithoutIssuerIsAnAnchor) {
  const EkBundle bundle = Screen({vendor_.intermediate_der()});
  ASSERT_EQ(bundle.certificates.size(), 1u);
  EXPECT_TRUE(bundle.certificates[0].anchor);
}

TEST_F(EkBundleTest, TakesListsOfItsIssuersAndNoOthers) {
  const std::vector<Bytes> pinned{vendor_.root_der(), vendor_.intermediate_der()};
  EXPECT_EQ(Screen(pinned, {vendor_.Crl()}).lists.size(), 1u);
  EXPECT_EQ(Rule(pinned, {ToBytes("none")}), "bundle.list");
  EXPECT_EQ(Rule(pinned, {vendor_.Crl({.next_update = 1'789'999'999})}), "bundle.list");
  EXPECT_EQ(Rule(pinned, {vendor_.Crl({.by_other_key = true})}), "bundle.list");
  EXPECT_EQ(Rule({vendor_.root_der()}, {vendor_.Crl()}), "bundle.list");
}

// Every CA certificate that another project collected from the vendors, roots and intermediates.
TEST(EkBundleAgreement, TakesTheCaCertificatesThatOthersCollected) {
  const std::vector<EkBundleFile> files{
      {"", "roots", VectorFile("ek/roots-tpmtb/roots.pem")},
      {"", "intermediates", VectorFile("ek/roots-tpmtb/intermediates.pem")}};
  const EkBundle bundle = ScreenEkBundle(files, kNow);
  for (const EkBundleRefusal& refusal : bundle.refused)
    ADD_FAILURE() << refusal.rule << ": " << refusal.subject << " " << refusal.detail;
  std::printf("vendor CA certificates %zu/169\n", bundle.certificates.size());
  EXPECT_EQ(bundle.certificates.size(), 169u);
}

}  // namespace
}  // namespace sallyport::pki
