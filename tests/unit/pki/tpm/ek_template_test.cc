#include "pki/tpm/ek_template.h"

#include "tests/unit/pki/tpm/vectors.h"

namespace sallyport::pki {
namespace {

PublicKey KeyOf(KeyType type) { return PrivateKey::Generate(type)->public_key(); }
// RsaKey has a modulus of any size: nothing is decrypted with it.
PublicKey RsaKey(size_t bits) {
  Bytes modulus(bits / 8, 0xC5);
  return *PublicKey::FromRsa(modulus, 65537);
}

// PolicySecret(TPM_RH_ENDORSEMENT), and PolicyOR of it with PolicyC (TPM 2.0 Part 3, 23.4
// and 23.6).
Bytes ExpectedPolicy(HashAlgorithm hash, bool high_range) {
  constexpr uint32_t kPolicySecret = 0x151, kPolicyOr = 0x171, kEndorsement = 0x4000000B;
  const Bytes zeros(DigestSize(hash), 0);
  ByteWriter secret;
  secret.Raw(zeros).BigU32(kPolicySecret).BigU32(kEndorsement);
  const Bytes policy_a = Hash(hash, {Hash(hash, {secret.bytes()})});
  if (!high_range) return policy_a;
  const Bytes policy_c =
      *HexDecode(hash == HashAlgorithm::kSha256
                     ? "3767e2edd43ff45a3a7e1eaefcef78643dca964632e7aad82c673a30d8633fde"
                     : "d6032ce61f2fb3c240eb3cf6a33237ef2b6a16f4293c22b455e261cffd217ad5"
                       "b4947c2d73e63005eed2dc2b3593d165");
  ByteWriter either;
  either.Raw(zeros).BigU32(kPolicyOr).Raw(policy_a).Raw(policy_c);
  return Hash(hash, {either.bytes()});
}

TEST(EkTemplateArea, HasThePolicyOfTheSpecification) {
  for (const EkTemplate each : kEkTemplates) {
    const PublicArea area = EkTemplateArea(each);
    EXPECT_EQ(area.auth_policy, ExpectedPolicy(area.name_alg, EkIsHighRange(each)))
        << EkTemplateName(each);
    EXPECT_EQ(area.Has(tpm::kUserWithAuth), EkIsHighRange(each));
    EXPECT_FALSE(area.Has(tpm::kSign));
  }
}

TEST(EkTemplateArea, TakesLongerHashesAndKeysForLongerKeys) {
  for (const EkTemplate each :
       {EkTemplate::kH3P384, EkTemplate::kH6Rsa3072, EkTemplate::kH7Rsa4096}) {
    EXPECT_EQ(EkTemplateArea(each).name_alg, HashAlgorithm::kSha384);
    EXPECT_EQ(EkTemplateArea(each).symmetric_bits, 256);
  }
}

TEST(EkPublicFromKey, IsTheTemplateButForItsKey) {
  PublicArea ek = *EkPublicFromKey(KeyOf(KeyType::kP256));
  ek.unique = std::get<EccUnique>(EkTemplateArea(EkTemplate::kL2P256).unique);

  EXPECT_EQ(ek, EkTemplateArea(EkTemplate::kL2P256));
}

TEST(EkPublicFromKey, RefusesKeysThatNoTemplateMakes) {
  EXPECT_EQ(EkPublicFromKey(KeyOf(KeyType::kEd25519)).error().name(), "ek.key-type");
  EXPECT_EQ(EkPublicFromKey(RsaKey(2560)).error().name(), "ek.key-type");
  EXPECT_EQ(EkPublicFromKey(*PublicKey::FromRsa(Bytes(256, 0xC5), 3)).error().name(),
            "ek.key-type");
}

TEST(MatchEkTemplate, ChoosesAmongTheTemplatesOfTheKeyAndNoOthers) {
  const PublicKey key = KeyOf(KeyType::kP256);
  const PublicArea low = *EkPublicFromKey(key);
  PublicArea high = EkTemplateArea(EkTemplate::kH2P256);
  high.unique = low.unique;

  EXPECT_EQ(FindEkTemplate(*MatchEkTemplate(key, low.Marshal())), EkTemplate::kL2P256);
  EXPECT_EQ(FindEkTemplate(*MatchEkTemplate(key, high.Marshal())), EkTemplate::kH2P256);

  PublicArea between = high;
  between.auth_policy = ToBytes(EkPolicyA());
  PublicArea signing = low;
  signing.attributes |= tpm::kSign;
  PublicArea weak = high;
  weak.symmetric_bits.reset();
  for (const PublicArea& area : {between, signing, weak})
    EXPECT_EQ(MatchEkTemplate(key, area.Marshal()).error().name(), "ek.key-match");
  EXPECT_EQ(MatchEkTemplate(key, {}).error().name(), "ek.key-match");
  EXPECT_EQ(MatchEkTemplate(KeyOf(KeyType::kP256), low.Marshal()).error().name(), "ek.key-match");
  EXPECT_EQ(MatchEkTemplate(KeyOf(KeyType::kEd25519), low.Marshal()).error().name(), "ek.key-type");
}

TEST(MatchEkTemplate, KnowsTheLongRsaKeys) {
  for (const auto& [bits, expected] : {std::pair(size_t{3072}, EkTemplate::kH6Rsa3072),
                                       std::pair(size_t{4096}, EkTemplate::kH7Rsa4096)}) {
    const PublicKey key = RsaKey(bits);
    const Bytes area = EkPublicFromKey(key)->Marshal();
    EXPECT_EQ(FindEkTemplate(*MatchEkTemplate(key, area)), expected);
    EXPECT_EQ(ParsePublicArea(area)->Marshal(), area);
  }
}

}  // namespace
}  // namespace sallyport::pki
