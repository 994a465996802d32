#include "attestation-server/enrolment/ek_certificate.h"

#include "pki/tpm/make_credential.h"
#include "tests/fakes/soft_ek.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

class SoftRsaEk {
 public:
  const pki::PublicKey& public_key() const { return key_.public_key(); }

 private:
  const pki::PrivateKey key_ = pki::PrivateKey::Generate(pki::KeyType::kRsa).value();
};

class ScreenEkTest : public testing::Test {
 protected:
  ScreenEkTest() {
    profiles_.emplace("lab", Profile{Roots(vendor_.root_der()), false});
    profiles_.emplace("nuvoton", Profile{Roots(VectorFile("ek/NUVO_2111.pem")), true});
  }
  static pki::EkRoots Roots(const Bytes& der) {
    return pki::EkRoots::FromCertificates(std::vector<Bytes>{der}).value();
  }
  std::vector<Bytes> Chain() const {
    return {vendor_.EkCertificate(ek_.public_key()), vendor_.intermediate_der()};
  }
  Bytes EkPublic() const { return pki::EkPublicFromKey(ek_.public_key()).value().Marshal(); }
  std::string_view Rule(const std::vector<Bytes>& chain, const Bytes& ek_public) const {
    const auto screened = ScreenEk(chain, ek_public, profiles_, kNow);
    return screened.has_value() ? "" : screened.error().rule;
  }

  FakeTpmVendor vendor_;
  SoftEk ek_;
  Profiles profiles_;
};

TEST_F(ScreenEkTest, NamesTheProfilesWhoseRootsItLeadsTo) {
  const ScreenedEk screened = ScreenEk(Chain(), EkPublic(), profiles_, kNow).value();
  EXPECT_EQ(screened.profiles, std::vector<std::string>{"lab"});
  EXPECT_EQ(screened.spki, ek_.public_key().spki());
  EXPECT_EQ(screened.certificate.model, "FakeTPM");
}

TEST_F(ScreenEkTest, RefusesTheEkOfAnotherTpm) {
  const SoftEk other;
  EXPECT_EQ(Rule(Chain(), pki::EkPublicFromKey(other.public_key()).value().Marshal()),
            "ek.key-match");
}

TEST_F(ScreenEkTest, RefusesAnEkOfAnotherTemplate) {
  pki::PublicArea area = pki::EkPublicFromKey(ek_.public_key()).value();
  area.auth_policy[0] ^= 1;
  EXPECT_EQ(Rule(Chain(), area.Marshal()), "ek.key-match");
}

TEST_F(ScreenEkTest, RefusesAChainToNoProfile) {
  profiles_.erase("lab");
  EXPECT_EQ(Rule(Chain(), EkPublic()), "ek.chain");
  profiles_.clear();
  EXPECT_EQ(Rule(Chain(), EkPublic()), "ek.chain");
}

TEST_F(ScreenEkTest, RefusesNoneAndTooManyCertificates) {
  EXPECT_EQ(Rule({}, EkPublic()), "ek.missing");
  EXPECT_EQ(Rule(std::vector<Bytes>(pki::kEkChainMax + 1, Chain().front()), EkPublic()),
            "ek.chain-length");
}

TEST_F(ScreenEkTest, KeepsWarningsAndTakesAcceptedAdvisoriesOfTheProfile) {
  const SoftRsaEk rsa;
  const std::vector<Bytes> chain{
      vendor_.EkCertificate(rsa.public_key(), {.key_usage = "critical,keyEncipherment",
                                               .manufacturer = "id:49465800",
                                               .version = "id:00070028"}),
      vendor_.intermediate_der()};
  const Bytes area = pki::EkPublicFromKey(rsa.public_key()).value().Marshal();
  EXPECT_EQ(Rule(chain, area), "ek.advisory.cve-2017-15361");
  profiles_.find("lab")->second.accepted_advisories = {"CVE-2017-15361"};
  const ScreenedEk screened = ScreenEk(chain, area, profiles_, kNow).value();
  ASSERT_EQ(screened.warnings.size(), 1u);
  EXPECT_TRUE(screened.warnings[0].starts_with("ek.advisory.cve-2017-15361: "));
}

TEST_F(ScreenEkTest, RefusesAKeyWithoutATemplate) {
  const auto ed25519 = pki::PrivateKey::Generate(pki::KeyType::kEd25519)->public_key();
  EXPECT_EQ(Rule({vendor_.EkCertificate(ed25519), vendor_.intermediate_der()}, EkPublic()),
            "ek.key-type");
}

TEST_F(ScreenEkTest, TakesEksOfTheHighRange) {
  const auto p384 = pki::PrivateKey::Generate(pki::KeyType::kP384)->public_key();
  const std::vector<Bytes> chain{vendor_.EkCertificate(p384), vendor_.intermediate_der()};
  EXPECT_EQ(Rule(chain, pki::EkPublicFromKey(p384)->Marshal()), "");
  pki::PublicArea high = pki::EkTemplateArea(pki::EkTemplate::kH2P256);
  high.unique = pki::EkPublicFromKey(ek_.public_key())->unique;
  EXPECT_EQ(Rule(Chain(), high.Marshal()), "");
}

}  // namespace
}  // namespace sallyport::server
