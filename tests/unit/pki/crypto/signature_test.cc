#include "pki/crypto/signature.h"

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

}  // namespace
}  // namespace sallyport::pki
