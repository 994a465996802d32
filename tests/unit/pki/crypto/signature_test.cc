#include "pki/crypto/signature.h"

#include <gtest/gtest.h>
#include <openssl/rsa.h>

#include "pki/crypto/openssl_ptr.h"

namespace sallyport::pki {
namespace {

class EveryKeyType : public testing::TestWithParam<KeyType> {
 protected:
  PrivateKey key_ = *PrivateKey::Generate(GetParam());
  Bytes message_ = ToBytes("message");
};

TEST_P(EveryKeyType, VerifiesItsOwnSignature) {
  EXPECT_TRUE(key_.public_key().Verify(message_, *key_.Sign(message_)));
}

TEST_P(EveryKeyType, RefusesEveryFlippedBit) {
  const Bytes signature = *key_.Sign(message_);
  for (size_t bit = 0; bit < signature.size() * 8; bit += 7) {
    Bytes bad = signature;
    bad[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_FALSE(key_.public_key().Verify(message_, bad)) << bit;
  }
}

TEST_P(EveryKeyType, RefusesTruncationEmptinessAndAnotherMessage) {
  Bytes signature = *key_.Sign(message_);

  EXPECT_FALSE(key_.public_key().Verify(AsBytes("massage"), signature));
  EXPECT_FALSE(key_.public_key().Verify(message_, {}));
  signature.pop_back();
  EXPECT_EQ(key_.public_key().Verify(message_, signature).error().reason, Reason::kBadSignature);
}

TEST_P(EveryKeyType, RoundTripsThroughASealedPem) {
  const std::string pem = *key_.SealedPem("correct horse");

  EXPECT_EQ(PrivateKey::FromPem(pem, "correct horse")->public_key().spki(),
            key_.public_key().spki());
  EXPECT_EQ(PrivateKey::FromPem(pem, "wrong").error().reason, Reason::kBadSignature);
  EXPECT_EQ(PrivateKey::FromPem(pem, "").error().reason, Reason::kBadSignature);
}

TEST_P(EveryKeyType, RoundTripsThroughSpkiAndPem) {
  const PublicKey& key = key_.public_key();
  Bytes longer = key.spki();
  longer.push_back(0);

  EXPECT_EQ(PublicKey::FromSpki(key.spki())->spki(), key.spki());
  EXPECT_EQ(PublicKey::FromPem(key.ToPem())->spki(), key.spki());
  EXPECT_EQ(PublicKey::FromSpki(longer).error().reason, Reason::kMalformed);
}

INSTANTIATE_TEST_SUITE_P(All, EveryKeyType,
                         testing::Values(KeyType::kP256, KeyType::kP384, KeyType::kRsa,
                                         KeyType::kEd25519));

TEST(PublicKey, RefusesAPointOffTheCurve) {
  Bytes x(32, 1);
  EXPECT_EQ(PublicKey::FromP256Point(x, x).error().reason, Reason::kMalformed);
}

TEST(PublicKey, RefusesShortRsa) {
  Bytes modulus(128, 0xff);
  EXPECT_EQ(PublicKey::FromRsa(modulus, 65537).error().reason, Reason::kUnsupported);
}

TEST(PublicKey, RefusesAnEcdsaSignatureWithZeroIntegers) {
  const PrivateKey key = *PrivateKey::Generate(KeyType::kP256);
  EXPECT_FALSE(key.public_key().Verify(AsBytes("m"), *HexDecode("3006020100020100")));
}

TEST(PublicKey, FromAP256PointHasTheSpkiThatOpenSslWrites) {
  const PublicKey key = PrivateKey::Generate(KeyType::kP256)->public_key();
  const ByteView point = ByteView(key.spki()).last(64);

  const auto from_point = PublicKey::FromP256Point(point.first(32), point.last(32));

  EXPECT_EQ(from_point->spki(), key.spki());
  EXPECT_EQ(from_point->type(), KeyType::kP256);
}

TEST(PublicKey, FromEd25519HasTheSpkiThatOpenSslWrites) {
  const PublicKey key = PrivateKey::Generate(KeyType::kEd25519)->public_key();

  const auto from_bytes = PublicKey::FromEd25519(ByteView(key.spki()).last(32));

  EXPECT_EQ(from_bytes->spki(), key.spki());
  EXPECT_EQ(from_bytes->type(), KeyType::kEd25519);
}

// The neutral element of the curve: OpenSSL accepts this signature of it for every message.
TEST(PublicKey, OfSmallOrderVerifiesNothing) {
  const Bytes neutral = *HexDecode("01" + std::string(62, '0'));
  const auto key = PublicKey::FromEd25519(neutral);
  Bytes signature = neutral;
  signature.resize(64);
  EXPECT_FALSE(key->Verify(ToBytes("any message"), signature));
}

// Older TPMs sign with the longest salt that fits (TPM 2.0 Part 1, B.7).
TEST(PublicKeyVerify, TakesAnyLengthOfPssSalt) {
  const PrivateKey key = PrivateKey::Generate(KeyType::kRsa).value();
  const Bytes message = ToBytes("message");
  for (const int salt : {RSA_PSS_SALTLEN_MAX_SIGN, RSA_PSS_SALTLEN_DIGEST, 0}) {
    const EvpMdCtx context{EVP_MD_CTX_new()};
    EVP_PKEY_CTX* settings = nullptr;
    ASSERT_EQ(EVP_DigestSignInit_ex(context.get(), &settings, "SHA256", nullptr, nullptr,
                                    static_cast<EVP_PKEY*>(key.native()), nullptr),
              1);
    ASSERT_EQ(EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING), 1);
    ASSERT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, salt), 1);
    Bytes signature(256);
    size_t size = signature.size();
    ASSERT_EQ(
        EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()), 1);
    EXPECT_TRUE(key.public_key()
                    .Verify(SignatureScheme::kRsaPss, HashAlgorithm::kSha256, message, signature)
                    .has_value());
    signature[7] ^= 1;
    EXPECT_FALSE(key.public_key()
                     .Verify(SignatureScheme::kRsaPss, HashAlgorithm::kSha256, message, signature)
                     .has_value());
  }
}

}  // namespace
}  // namespace sallyport::pki
