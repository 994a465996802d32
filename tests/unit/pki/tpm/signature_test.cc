#include "pki/tpm/signature.h"

#include "tests/unit/pki/tpm/vectors.h"

namespace sallyport::pki {
namespace {

Bytes Ecdsa(ByteView r, ByteView s) {
  ByteWriter writer;
  writer.BigU16(tpm::kAlgEcdsa).BigU16(tpm::kAlgSha256).Sized16(r).Sized16(s);
  return std::move(writer).Take();
}

std::string_view RuleOf(ByteView bytes) {
  const auto signature = ParseTpmSignature(bytes);
  return signature ? "" : signature.error().name();
}

TEST(TpmSignature, WritesMinimalDer) {
  const Bytes r = {0x00, 0x00, 0x80};
  const Bytes s = {0x7F};

  EXPECT_EQ(HexEncode(*EcdsaDer(r, s)), "30070202008002017f");
}

TEST(TpmSignature, RefusesZeroAndOverlongIntegers) {
  const Bytes one = {1};
  EXPECT_EQ(RuleOf(Ecdsa(Bytes(32, 0), one)), "signature.range");
  EXPECT_EQ(RuleOf(Ecdsa(one, {})), "signature.range");
  EXPECT_EQ(RuleOf(Ecdsa(Bytes(49, 1), one)), "signature.range");
}

TEST(TpmSignature, RefusesSha1AndUnknownSchemes) {
  EXPECT_EQ(RuleOf(AttestVector("akcreate-rsa-infineon/CreateSignature.bin")),
            "signature.algorithm");
  Bytes bytes = Ecdsa(Bytes(32, 1), Bytes(32, 1));
  bytes[1] = 0x1C;
  EXPECT_EQ(RuleOf(bytes), "signature.algorithm");
}

TEST(TpmSignature, RefusesEveryTruncationAndATrailingByte) {
  Bytes bytes = Ecdsa(Bytes(32, 1), Bytes(32, 1));
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_EQ(RuleOf(ByteView(bytes).first(size)), "signature.structure") << size;
  bytes.push_back(0);
  EXPECT_EQ(RuleOf(bytes), "signature.structure");
  EXPECT_EQ(ParseTpmSignature(Bytes(kTpmSignatureBytesMax + 1)).error().reason, Reason::kTooLarge);
}

TEST(TpmSignature, RefusesTheOrderOfTheCurveAsS) {
  const PrivateKey key = *PrivateKey::Generate(KeyType::kP256);
  const Bytes spki = key.public_key().spki();
  const ByteView point = ByteView(spki).last(64);
  const PublicArea area{
      .name_alg = HashAlgorithm::kSha256,
      .attributes = 0x00050072,
      .auth_policy = {},
      .symmetric_bits = std::nullopt,
      .scheme = KeyScheme{SignatureScheme::kEcdsa, HashAlgorithm::kSha256},
      .unique = EccUnique{tpm::kCurveP256, ToBytes(point.first(32)), ToBytes(point.last(32))}};
  const Bytes n = *HexDecode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

  EXPECT_EQ(VerifyTpmSignature(area, AsBytes("m"), Ecdsa(Bytes(32, 1), n)).error().reason,
            Reason::kBadSignature);
}

TEST(TpmSignature, RefusesAnotherSchemeThanTheKeysOne) {
  PublicArea ak = *ParseTpm2bPublic(AttestVector("keylime-tpm2-quote/ak.pub"));
  const Bytes attest = AttestVector("keylime-tpm2-quote/quote.out");
  const Bytes signature = AttestVector("keylime-tpm2-quote/quotesig.out");

  EXPECT_EQ(VerifyTpmSignature(ak, attest, Ecdsa(Bytes(32, 1), Bytes(32, 1))).error().name(),
            "signature.scheme");
  ak.scheme.reset();
  EXPECT_EQ(VerifyTpmSignature(ak, attest, signature).error().name(), "signature.scheme");
}

}  // namespace
}  // namespace sallyport::pki
