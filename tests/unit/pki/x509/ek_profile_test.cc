#include "pki/x509/ek_profile.h"

#include "pki/crypto/openssl_ptr.h"
#include "tests/fakes/soft_ek.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::pki {
namespace {

Bytes Vector(const std::string& name) { return VectorFile("ek/" + name); }

std::string_view ParseRule(ByteView bytes) {
  const auto parsed = ParseEkCertificate(bytes);
  return parsed.has_value() ? "" : parsed.error().rule;
}

PublicKey RsaKey(size_t bits) {
  return PrivateKey::FromNative(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits))->public_key();
}

// RsalibKey has a modulus of the form that CVE-2017-15361 is known by; nobody can sign with it.
PublicKey RsalibKey() {
  BignumPtr modulus(BN_new());
  BN_set_word(modulus.get(), 1);
  for (const unsigned prime :
       {2,  3,  5,  7,  11, 13,  17,  19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67, 71,
        73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167})
    BN_mul_word(modulus.get(), prime);
  BN_lshift(modulus.get(), modulus.get(), 2047 - (BN_num_bits(modulus.get()) - 1));
  BN_add_word(modulus.get(), 65537);
  Bytes bytes(256);
  SP_CHECK(BN_bn2binpad(modulus.get(), bytes.data(), 256) == 256);
  return PublicKey::FromRsa(bytes, 65537).value();
}

class EkProfile : public testing::Test {
 protected:
  std::string_view Rule(const EkCertificateOptions& options) const {
    return ParseRule(vendor_.EkCertificate(ek_.public_key(), options));
  }
  EkCertificate Read(const PublicKey& key, const EkCertificateOptions& options) const {
    return ReadEkCertificate(vendor_.EkCertificate(key, options)).value();
  }

  const FakeTpmVendor vendor_;
  const SoftEk ek_;
  const EkCertificateOptions rsa_{.key_usage = "critical,keyEncipherment"};
};

TEST_F(EkProfile, RefusesASigningCertificateOfTheSameTpm) {
  EXPECT_EQ(ParseRule(Vector("gce__pca_tpm_rsa_sign_cert.pem")), "ek.key-usage");
}

TEST_F(EkProfile, RefusesAVendorsRoot) {
  EXPECT_EQ(ParseRule(Vector("keylime__nuvoton_ecdsa_sha256_der.der")), "ek.key-usage");
}

TEST_F(EkProfile, RefusesOversizeBeforeReading) {
  EXPECT_EQ(ParseRule(Bytes(kEkCertificateBytesMax + 1, 0x30)), "ek.size");
}

TEST_F(EkProfile, RefusesEachBreach) {
  EXPECT_EQ(Rule({.key_usage = "critical,digitalSignature"}), "ek.key-usage");
  EXPECT_EQ(Rule({.key_usage = "critical,keyEncipherment"}), "ek.key-usage");
  EXPECT_EQ(Rule({.key_usage = "critical,keyAgreement,keyCertSign"}), "ek.key-usage");
  EXPECT_EQ(Rule({.key_usage = "critical,keyAgreement,cRLSign"}), "ek.key-usage");
  EXPECT_EQ(Rule({.key_usage = ""}), "ek.key-usage");
  EXPECT_EQ(Rule({.extended_key_usage = "clientAuth"}), "ek.extended-key-usage");
  EXPECT_EQ(Rule({.extended_key_usage = "2.23.133.8.3"}), "ek.extended-key-usage");
  EXPECT_EQ(Rule({.is_ca = true}), "ek.ca");
  EXPECT_EQ(Rule({.critical_san = false}), "ek.subject");
  EXPECT_EQ(Rule({.tpm_name = false}), "ek.subject");
  EXPECT_EQ(Rule({.critical_extension = "1.2.3.4"}), "ek.extension-critical");
  EXPECT_EQ(Rule({.usage_twice = true}), "ek.extended-key-usage");
  EXPECT_EQ(Rule({.subject = "v1", .version_1 = true}), "ek.version");
}

TEST_F(EkProfile, ListsEveryRuleWhateverFailedBefore) {
  const auto checks =
      CheckEkProfile(Read(ek_.public_key(), {.key_usage = "", .is_ca = true, .usage_twice = true}));
  std::vector<std::string_view> failed;
  for (const EkCheck& check : checks)
    if (check.result == CheckResult::kFail) failed.push_back(check.rule);
  EXPECT_EQ(failed, (std::vector<std::string_view>{"ek.key-usage", "ek.extended-key-usage", "ek.ca",
                                                   "ek.extension-twice"}));
  EXPECT_EQ(checks.size(), 12u);
}

TEST_F(EkProfile, AcceptsWhatTheProfileLeavesOpen) {
  EXPECT_EQ(Rule({.extended_key_usage = ""}), "");
  EXPECT_EQ(Rule({.extended_key_usage = "clientAuth,2.23.133.8.1"}), "");
  EXPECT_EQ(Rule({.tpm_name = false, .subject = "vTPM"}), "");
  EXPECT_EQ(Rule({.critical_san = false, .subject = "TPM"}), "");
  EXPECT_EQ(Rule({.key_usage = "keyAgreement"}), "");
  EXPECT_EQ(ParseEkCertificate(vendor_.EkCertificate(ek_.public_key()))->model, "FakeTPM");
}

TEST_F(EkProfile, AcceptsEveryKeyThatEksHave) {
  for (const size_t bits : {2048, 3072, 4096})
    EXPECT_EQ(ParseRule(vendor_.EkCertificate(RsaKey(bits), rsa_)), "") << bits;
  EXPECT_EQ(ParseRule(vendor_.EkCertificate(PrivateKey::Generate(KeyType::kP384)->public_key())),
            "");
}

// OldRsaCertificate names its key by what it is for, as vendors did; its signature does not hold.
Bytes OldRsaCertificate(const FakeTpmVendor& vendor) {
  constexpr uint8_t kRsaEncryption[] = {0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01};
  Bytes der = vendor.EkCertificate(RsaKey(2048), {.key_usage = "critical,keyEncipherment"});
  const auto at = std::ranges::search(der, kRsaEncryption);
  SP_CHECK(!at.empty());
  at.back() = 0x07;  // id-RSAES-OAEP
  return der;
}

TEST_F(EkProfile, ReadsRsaKeysThatAreNamedByTheirUse) {
  const EkCertificate ek = ReadEkCertificate(OldRsaCertificate(vendor_)).value();
  EXPECT_EQ(ek.key_name, "rsa-2048");
  ASSERT_TRUE(ek.key.has_value());
  EXPECT_EQ(ek.key->bits(), 2048u);
  EXPECT_EQ(ParseRule(OldRsaCertificate(vendor_)), "");
}

TEST_F(EkProfile, RefusesKeysThatAreWeakOrNoneOfAnEk) {
  const Bytes modulus = ToBytes(ByteView(RsaKey(2048).spki()).subspan(33, 256));
  EXPECT_EQ(ParseRule(vendor_.EkCertificate(PublicKey::FromRsa(modulus, 3).value(), rsa_)),
            "ek.key");
  EXPECT_EQ(ParseRule(vendor_.EkCertificate(PrivateKey::Generate(KeyType::kEd25519)->public_key())),
            "ek.key");
}

TEST_F(EkProfile, RefusesAKeyWithTheFingerprintOfRoca) {
  EXPECT_EQ(ParseRule(vendor_.EkCertificate(RsalibKey(), rsa_)), "ek.key-roca");
}

TEST_F(EkProfile, SaysThatItWasLenientAndWithWhat) {
  const auto lenient = CheckEkProfile(
      ReadEkCertificate(Vector("keylime__certificate_wrapper_malformed.der")).value());
  EXPECT_EQ(lenient.front().rule, "ek.der-lenient");
  EXPECT_TRUE(lenient.front().warning);
  EXPECT_NE(lenient.front().detail.find("a SET whose members are not sorted"), std::string::npos);
  EXPECT_EQ(CheckEkProfile(Read(ek_.public_key(), {})).front().rule, "ek.der");
}

}  // namespace
}  // namespace sallyport::pki
