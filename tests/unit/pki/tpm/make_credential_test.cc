// That a TPM opens what MakeCredential makes is shown in tests/integration/tpm_test.cc.
#include "pki/tpm/make_credential.h"

#include "pki/tpm/name.h"
#include "tests/unit/pki/tpm/vectors.h"

namespace sallyport::pki {
namespace {

PublicArea P256Ek() { return *EkPublicFromKey(PrivateKey::Generate(KeyType::kP256)->public_key()); }

TEST(MakeCredential, HasTheSizesOfTheSpecification) {
  const MadeCredential ecc = *MakeCredential(P256Ek(), Bytes(34, 1), Bytes(32, 2));
  const MadeCredential rsa = *MakeCredential(
      *ParseTpm2bPublic(AttestVector("keylime-tpm2-quote/ek.pub")), Bytes(34, 1), Bytes(32, 2));

  EXPECT_EQ(ecc.credential_blob.size(), 2 + 32 + 2 + 32u);
  EXPECT_EQ(ecc.encrypted_secret.size(), 2 * (2 + 32u));
  EXPECT_EQ(rsa.credential_blob.size(), 2 + 32 + 2 + 32u);
  EXPECT_EQ(rsa.encrypted_secret.size(), 256u);
}

TEST(MakeCredential, HasTheSizesOfTheNameAlgorithmOfP384) {
  const PublicArea ek = *EkPublicFromKey(PrivateKey::Generate(KeyType::kP384)->public_key());
  const MadeCredential made = *MakeCredential(ek, Bytes(34, 1), Bytes(32, 2));

  EXPECT_EQ(made.credential_blob.size(), 2 + 48 + 2 + 32u);
  EXPECT_EQ(made.encrypted_secret.size(), 2 * (2 + 48u));
}

TEST(MakeCredential, RefusesAnEkOfNoTemplate) {
  PublicArea ek = P256Ek();
  ek.auth_policy[0] ^= 1;

  EXPECT_EQ(MakeCredential(ek, Bytes(34, 1), Bytes(32)).error().name(), "ek.key-type");
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
