// That a TPM opens what MakeCredential makes is shown in tests/integration/tpm_test.cc.
#include "pki/tpm/make_credential.h"

#include "pki/tpm/name.h"
#include "tests/unit/pki/tpm/vectors.h"

namespace sallyport::pki {
namespace {

PublicArea P256Ek() { return *EkPublicFromKey(PrivateKey::Generate(KeyType::kP256)->public_key()); }

TEST(EkPublic, IsTheTemplateButForItsKey) {
  PublicArea ek = P256Ek();
  ek.unique = std::get<EccUnique>(EkTemplateArea(EkTemplate::kL2P256).unique);

  EXPECT_EQ(ek, EkTemplateArea(EkTemplate::kL2P256));
}

TEST(EkPublic, RefusesKeyTypesWithoutATemplate) {
  EXPECT_EQ(EkPublicFromKey(PrivateKey::Generate(KeyType::kP384)->public_key()).error().name(),
            "ek.key-type");
  EXPECT_EQ(EkPublicFromKey(PrivateKey::Generate(KeyType::kEd25519)->public_key()).error().name(),
            "ek.key-type");
}

TEST(EkPublic, RefusesAnotherExponentOrSizeOfRsa) {
  const auto ek = *ParseTpm2bPublic(AttestVector("keylime-tpm2-quote/ek.pub"));
  const Bytes modulus = std::get<RsaUnique>(ek.unique).modulus;
  Bytes larger = modulus;
  larger.insert(larger.begin(), 128, 0xC5);

  EXPECT_EQ(EkPublicFromKey(*PublicKey::FromRsa(modulus, 3)).error().name(), "ek.key-type");
  EXPECT_EQ(EkPublicFromKey(*PublicKey::FromRsa(larger, 65537)).error().name(), "ek.key-type");
}

TEST(MakeCredential, HasTheSizesOfTheSpecification) {
  const MadeCredential ecc = *MakeCredential(P256Ek(), Bytes(34, 1), Bytes(32, 2));
  const MadeCredential rsa = *MakeCredential(
      *ParseTpm2bPublic(AttestVector("keylime-tpm2-quote/ek.pub")), Bytes(34, 1), Bytes(32, 2));

  EXPECT_EQ(ecc.credential_blob.size(), 2 + 32 + 2 + 32u);
  EXPECT_EQ(ecc.encrypted_secret.size(), 2 * (2 + 32u));
  EXPECT_EQ(rsa.credential_blob.size(), 2 + 32 + 2 + 32u);
  EXPECT_EQ(rsa.encrypted_secret.size(), 256u);
}

TEST(MakeCredential, NeverRepeatsItself) {
  const PublicArea ek = P256Ek();

  const MadeCredential first = *MakeCredential(ek, Bytes(34, 1), Bytes(32, 2));
  const MadeCredential second = *MakeCredential(ek, Bytes(34, 1), Bytes(32, 2));

  EXPECT_NE(first.credential_blob, second.credential_blob);
  EXPECT_NE(first.encrypted_secret, second.encrypted_secret);
}

TEST(MakeCredential, RefusesSecretsThatATpmCannotReturn) {
  EXPECT_EQ(MakeCredential(P256Ek(), Bytes(34, 1), {}).error().name(), "credential.secret-size");
  EXPECT_EQ(MakeCredential(P256Ek(), Bytes(34, 1), Bytes(33)).error().name(),
            "credential.secret-size");
}

TEST(MakeCredential, RefusesAnEkThatIsNoStorageKey) {
  PublicArea ek = P256Ek();
  ek.symmetric_bits.reset();

  EXPECT_EQ(MakeCredential(ek, Bytes(34, 1), Bytes(32)).error().name(), "ek.key-type");
}

}  // namespace
}  // namespace sallyport::pki
