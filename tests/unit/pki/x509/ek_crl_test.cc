#include "pki/x509/ek_crl.h"

#include "tests/fakes/soft_ek.h"

namespace sallyport::pki {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

std::string Pem(ByteView der) {
  return "-----BEGIN X509 CRL-----\n" + Base64Encode(der) + "\n-----END X509 CRL-----\n";
}

class EkCrlTest : public testing::Test {
 protected:
  std::vector<Bytes> Chain(const EkCertificateOptions& leaf = {.serial = 77}) const {
    return {vendor_.EkCertificate(ek_.public_key(), leaf), vendor_.intermediate_der(),
            vendor_.root_der()};
  }
  // Rules are those of the checks that failed, or "pass", or "nothing".
  static std::string Rules(const std::vector<Bytes>& chain, const Bytes& file,
                           UnixTime now = kNow) {
    const std::vector<EkCrl> lists = EkCrl::FromFile(file).value();
    const auto checks = CheckRevocation(chain, lists, now);
    if (checks.empty()) return "nothing";
    const Result<Unit> all = RequireAll(checks);
    return all.has_value() ? "pass" : std::string(all.error().rule);
  }
  std::string Rule(const CrlOptions& options, UnixTime now = kNow) const {
    return Rules(Chain(), vendor_.Crl(options), now);
  }

  const FakeTpmVendor vendor_;
  const SoftEk ek_;
};

TEST_F(EkCrlTest, PassesACertificateThatIsNotListed) {
  EXPECT_EQ(Rule({}), "pass");
  EXPECT_EQ(Rule({.revoked = {1, 76, 78}}), "pass");
}

TEST_F(EkCrlTest, RefusesARevokedCertificateAndARevokedIssuer) {
  EXPECT_EQ(Rule({.revoked = {5, 77}}), "crl.revoked");
  EXPECT_EQ(Rules(Chain(), vendor_.Crl({.by_root = true})), "pass");
  std::vector<long> every;
  for (long serial = 1; serial < 5000; ++serial) every.push_back(serial);
  EXPECT_EQ(Rules(Chain(), vendor_.Crl({.revoked = every, .by_root = true})), "crl.revoked");
}

TEST_F(EkCrlTest, RefusesAStaleListBySeconds) {
  EXPECT_EQ(Rule({.next_update = 1'790'000'000}), "pass");
  EXPECT_EQ(Rule({.next_update = 1'789'999'999}), "crl.stale");
  EXPECT_EQ(Rule({.next_update = 0}), "crl.stale");
  EXPECT_EQ(Rule({.this_update = 1'790'000'001}), "crl.not-yet-valid");
}

TEST_F(EkCrlTest, RefusesAForgedList) {
  EXPECT_EQ(Rule({.by_other_key = true}), "crl.signature");
  EXPECT_EQ(Rule({.sha1 = true}), "crl.signature");
  Bytes flipped = vendor_.Crl();
  flipped.back() ^= 1;
  EXPECT_EQ(Rules(Chain(), flipped), "crl.signature");
}

TEST_F(EkCrlTest, RefusesTheListOfAnIssuerOutsideTheChain) {
  const FakeTpmVendor other;
  std::vector<Bytes> chain = Chain();
  chain.erase(chain.begin() + 1);
  EXPECT_EQ(Rules(chain, other.Crl()), "crl.issuer");
}

TEST_F(EkCrlTest, RefusesAnIssuerThatMayNotSignLists) {
  const FakeTpmVendor vendor({.key_usage = "critical,keyCertSign"});
  EXPECT_EQ(
      Rules({vendor.EkCertificate(ek_.public_key()), vendor.intermediate_der()}, vendor.Crl()),
      "crl.usage");
}

TEST_F(EkCrlTest, RefusesWhatItDoesNotKnowWhenItIsCritical) {
  EXPECT_EQ(Rule({.critical_extension = "1.2.3.4"}), "crl.extension-critical");
  EXPECT_EQ(Rule({.revoked = {1}, .entry_extension = "1.2.3.4"}), "crl.extension-critical");
  EXPECT_EQ(Rule({.delta = true}), "crl.extension-critical");
  EXPECT_EQ(Rule({.point = "critical,indirectCRL:TRUE"}), "crl.extension-critical");
  EXPECT_EQ(Rule({.point = "critical,onlysomereasons:keyCompromise"}), "crl.extension-critical");
}

TEST_F(EkCrlTest, RefusesAListForOtherCertificates) {
  EXPECT_EQ(Rule({.point = "critical,onlyuser:TRUE"}), "pass");
  EXPECT_EQ(Rule({.point = "critical,onlyCA:TRUE"}), "crl.scope");
  EXPECT_EQ(Rule({.point = "critical,onlyAA:TRUE"}), "crl.scope");
  EXPECT_EQ(Rule({.point = "critical,fullname:URI:http://a/1"}), "crl.scope");
  const auto named = Chain({.crl_point = "http://a/1", .serial = 77});
  EXPECT_EQ(Rules(named, vendor_.Crl({.point = "critical,fullname:URI:http://a/1"})), "pass");
  EXPECT_EQ(Rules(named, vendor_.Crl({.point = "critical,fullname:URI:http://a/2"})), "crl.scope");
}

TEST_F(EkCrlTest, ReadsPemAndSeveralListsOfOneFile) {
  EXPECT_EQ(Rules(Chain(), ToBytes(Pem(vendor_.Crl()))), "pass");
  EXPECT_EQ(Rules(Chain(), ToBytes(Pem(vendor_.Crl({.by_root = true})) +
                                   Pem(vendor_.Crl({.revoked = {77}})))),
            "crl.revoked");
}

TEST_F(EkCrlTest, RefusesFilesThatAreNoList) {
  const Bytes der = vendor_.Crl();
  for (size_t size = 0; size < der.size(); ++size)
    EXPECT_EQ(EkCrl::FromFile(ByteView(der).first(size)).error().rule, "crl.der") << size;
  EXPECT_EQ(EkCrl::FromFile(vendor_.root_der()).error().rule, "crl.der");
  EXPECT_EQ(EkCrl::FromFile(AsBytes(Pem(der) + Pem(der).substr(0, 90))).error().rule, "crl.der");
  EXPECT_EQ(EkCrl::FromFile(Bytes(kCrlBytesMax + 1)).error().rule, "crl.size");
}

TEST_F(EkCrlTest, SaysNothingWithoutLists) {
  EXPECT_TRUE(CheckRevocation(Chain(), {}, kNow).empty());
}

}  // namespace
}  // namespace sallyport::pki
