#include "pki/tpm/key_rules.h"

#include <gtest/gtest.h>

namespace sallyport::pki {
namespace {

PublicArea Key(uint32_t attributes) {
  const PrivateKey key = *PrivateKey::Generate(KeyType::kP256);
  const Bytes spki = key.public_key().spki();
  const ByteView point = ByteView(spki).last(64);
  return {.name_alg = HashAlgorithm::kSha256,
          .attributes = attributes,
          .auth_policy = {},
          .symmetric_bits = std::nullopt,
          .scheme = KeyScheme{SignatureScheme::kEcdsa, HashAlgorithm::kSha256},
          .unique = EccUnique{tpm::kCurveP256, ToBytes(point.first(32)), ToBytes(point.last(32))}};
}
PublicArea Ak() { return Key(0x00050072); }
PublicArea TlsKey() { return Key(0x00040072 | tpm::kNoDa); }

std::string_view AkRule(const PublicArea& area) {
  const auto all = RequireAll(CheckAttestationKey(area));
  return all ? "" : all.error().name();
}
std::string_view TlsRule(const PublicArea& area) {
  const auto all = RequireAll(CheckTlsKey(area));
  return all ? "" : all.error().name();
}

TEST(AttestationKeyRules, AcceptTheOneKindOfKey) {
  EXPECT_EQ(AkRule(Ak()), "");
  EXPECT_EQ(CheckAttestationKey(Ak()).size(), 12u);
}

TEST(AttestationKeyRules, NameEachAttributeThatIsWrong) {
  const std::pair<uint32_t, std::string_view> cases[] = {
      {tpm::kFixedTpm, "ak.fixed-tpm"},
      {tpm::kFixedParent, "ak.fixed-parent"},
      {tpm::kSensitiveDataOrigin, "ak.sensitive-data-origin"},
      {tpm::kUserWithAuth, "ak.user-with-auth"},
      {tpm::kRestricted, "ak.restricted"},
      {tpm::kSign, "ak.sign"},
      {tpm::kStClear, "ak.st-clear"},
      {tpm::kEncryptedDuplication, "ak.encrypted-duplication"},
      {tpm::kDecrypt, "ak.decrypt"}};
  for (const auto& [bit, rule] : cases) {
    PublicArea area = Ak();
    area.attributes ^= bit;
    EXPECT_EQ(AkRule(area), rule);
  }
}

TEST(AttestationKeyRules, RefuseAKeyWithoutItsOneScheme) {
  PublicArea area = Ak();
  area.scheme.reset();
  EXPECT_EQ(AkRule(area), "ak.scheme");
}

TEST(AttestationKeyRules, AcceptAnySha2InAnExplicitScheme) {
  PublicArea area = Ak();
  for (const HashAlgorithm hash :
       {HashAlgorithm::kSha256, HashAlgorithm::kSha384, HashAlgorithm::kSha512}) {
    area.scheme = KeyScheme{SignatureScheme::kEcdsa, hash};
    EXPECT_EQ(AkRule(area), "");
  }
}

TEST(AttestationKeyRules, RefuseASymmetricAlgorithmAndAPointOffTheCurve) {
  PublicArea area = Ak();
  area.symmetric_bits = 128;
  EXPECT_EQ(AkRule(area), "ak.symmetric");
  area = Ak();
  std::get<EccUnique>(area.unique).x = Bytes(32, 1);
  EXPECT_EQ(AkRule(area), "ak.key");
}

TEST(TlsKeyRules, AcceptAKeyWithPasswordOrWithPolicy) {
  EXPECT_EQ(TlsRule(TlsKey()), "");
  PublicArea area = TlsKey();
  area.attributes &= ~tpm::kUserWithAuth;
  area.auth_policy = Bytes(32, 1);
  EXPECT_EQ(TlsRule(area), "");
}

TEST(TlsKeyRules, NameEachAttributeThatIsWrong) {
  const std::pair<uint32_t, std::string_view> cases[] = {
      {tpm::kFixedTpm, "tls.fixed-tpm"},
      {tpm::kFixedParent, "tls.fixed-parent"},
      {tpm::kSensitiveDataOrigin, "tls.sensitive-data-origin"},
      {tpm::kSign, "tls.sign"},
      {tpm::kRestricted, "tls.restricted"},
      {tpm::kEncryptedDuplication, "tls.encrypted-duplication"},
      {tpm::kDecrypt, "tls.decrypt"},
      {tpm::kUserWithAuth, "tls.authorisation"}};
  for (const auto& [bit, rule] : cases) {
    PublicArea area = TlsKey();
    area.attributes ^= bit;
    EXPECT_EQ(TlsRule(area), rule);
  }
}

TEST(TlsKeyRules, RefuseOtherSchemesAndKeys) {
  PublicArea area = TlsKey();
  area.scheme.reset();
  EXPECT_EQ(TlsRule(area), "tls.scheme");
  area = TlsKey();
  area.symmetric_bits = 128;
  EXPECT_EQ(TlsRule(area), "tls.symmetric");
  area = TlsKey();
  area.unique = RsaUnique{2048, 0, Bytes(256, 0xC1)};
  EXPECT_EQ(TlsRule(area), "tls.key");
}

}  // namespace
}  // namespace sallyport::pki
