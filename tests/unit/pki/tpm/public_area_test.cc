#include "pki/tpm/public_area.h"

#include "pki/tpm/make_credential.h"
#include "pki/tpm/name.h"
#include "tests/unit/pki/tpm/vectors.h"

namespace sallyport::pki {
namespace {

Bytes EccAk() {
  PublicArea area{.name_alg = HashAlgorithm::kSha256,
                  .attributes = 0x00050072,
                  .auth_policy = {},
                  .symmetric_bits = std::nullopt,
                  .scheme = KeyScheme{SignatureScheme::kEcdsa, HashAlgorithm::kSha256},
                  .unique = EccUnique{tpm::kCurveP256, Bytes(32, 1), Bytes(32, 2)}};
  return area.Marshal();
}

std::string_view RuleOf(ByteView bytes) {
  const auto area = ParsePublicArea(bytes);
  return area ? "" : area.error().name();
}

Bytes With(Bytes bytes, size_t at, std::initializer_list<uint8_t> values) {
  std::ranges::copy(values, bytes.begin() + static_cast<ptrdiff_t>(at));
  return bytes;
}

TEST(PublicArea, ReadsAndWritesBackKeysOfRealTpms) {
  const Bytes gce = AttestVector("gce-cos-85-no-nonce/ak.tpmt_public");
  const Bytes keylime = AttestVector("keylime-tpm2-quote/ek.pub");

  EXPECT_EQ(ParsePublicArea(gce)->Marshal(), gce);
  EXPECT_EQ(ParsePublicArea(gce)->attributes, 0x50072u);
  ByteWriter wrapped;
  wrapped.Sized16(ParseTpm2bPublic(keylime)->Marshal());
  EXPECT_EQ(wrapped.bytes(), keylime);
}

TEST(PublicArea, GivesTheKeyThatOtherToolsExported) {
  const PublicArea ak = *ParseTpm2bPublic(AttestVector("keylime-tpm2-quote/ak.pub"));
  const PublicArea ek = *ParseTpm2bPublic(AttestVector("keylime-tpm2-quote/ek.pub"));

  EXPECT_EQ(ak.ToPublicKey()->spki(),
            PublicKey::FromPem(ToString(AttestVector("keylime-tpm2-quote/akpub.pem")))->spki());
  EXPECT_EQ(ek.ToPublicKey()->spki(),
            PublicKey::FromPem(ToString(AttestVector("keylime-tpm2-quote/ekpub.pem")))->spki());
}

TEST(PublicArea, EkOfACertificateKeyIsTheTpmsOwnPublicArea) {
  const PublicArea ek = *ParseTpm2bPublic(AttestVector("keylime-tpm2-quote/ek.pub"));

  EXPECT_EQ(*EkPublicFromKey(*ek.ToPublicKey()), ek);
}

TEST(Name, IsTheOneThatTheTpmReported) {
  const PublicArea ak = *ParseTpm2bPublic(AttestVector("keylime-tpm2-quote/ak.pub"));

  EXPECT_EQ(ObjectName(ak), AttestVector("keylime-tpm2-quote/ak.name"));
}

TEST(Name, QualifiedNamesDifferByHierarchyAndParent) {
  const Bytes name(34, 7);

  const Bytes endorsement = PrimaryQualifiedName(HashAlgorithm::kSha256, tpm::kEndorsement, name);

  EXPECT_NE(endorsement, PrimaryQualifiedName(HashAlgorithm::kSha256, tpm::kOwner, name));
  EXPECT_NE(endorsement, ChildQualifiedName(HashAlgorithm::kSha256, endorsement, name));
  EXPECT_EQ(endorsement.size(), 34u);
}

TEST(PublicArea, RefusesEveryTruncationAndATrailingByte) {
  for (Bytes bytes : {EccAk(), AttestVector("gce-cos-85-no-nonce/ak.tpmt_public")}) {
    for (size_t size = 0; size < bytes.size(); ++size)
      EXPECT_EQ(RuleOf(ByteView(bytes).first(size)), "public.structure") << size;
    bytes.push_back(0);
    EXPECT_EQ(RuleOf(bytes), "public.structure");
  }
}

TEST(PublicArea, EveryBitFlipIsRefusedOrIsAnotherKey) {
  const Bytes original = EccAk();
  const PublicArea area = *ParsePublicArea(original);

  for (size_t bit = 0; bit < original.size() * 8; ++bit) {
    Bytes flipped = original;
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ (1u << (bit % 8)));
    const auto parsed = ParsePublicArea(flipped);
    if (!parsed) continue;
    EXPECT_NE(*parsed, area) << bit;
    EXPECT_NE(ObjectName(*parsed), ObjectName(area)) << bit;
  }
}

// Offsets in EccAk: 0 type, 2 nameAlg, 4 attributes, 8 policy size, 10 symmetric, 12 scheme, 14
// hash, 16 curve, 18 kdf.
TEST(PublicArea, NamesWhatItDoesNotSupport) {
  EXPECT_EQ(RuleOf(With(EccAk(), 0, {0x00, 0x08})), "public.type");
  EXPECT_EQ(RuleOf(With(EccAk(), 2, {0x00, 0x04})), "public.name-alg");
  EXPECT_EQ(RuleOf(With(EccAk(), 4, {0x80, 0x05, 0x00, 0x72})), "public.attributes");
  EXPECT_EQ(RuleOf(With(EccAk(), 10, {0x00, 0x0A})), "public.symmetric");
  EXPECT_EQ(RuleOf(With(EccAk(), 12, {0x00, 0x1A})), "public.scheme");
  EXPECT_EQ(RuleOf(With(EccAk(), 14, {0x00, 0x04})), "public.scheme");
  EXPECT_EQ(RuleOf(With(EccAk(), 16, {0x00, 0x10})), "public.curve");
  EXPECT_EQ(RuleOf(With(EccAk(), 18, {0x00, 0x20})), "public.kdf");
}

TEST(PublicArea, RefusesAPolicyOfAnotherSizeThanItsDigest) {
  PublicArea area = *ParsePublicArea(EccAk());
  area.auth_policy = Bytes(31, 1);

  EXPECT_EQ(RuleOf(area.Marshal()), "public.policy-size");
}

TEST(PublicArea, RefusesCoordinatesThatAreNotPadded) {
  PublicArea area = *ParsePublicArea(EccAk());
  area.unique = EccUnique{tpm::kCurveP256, Bytes(31, 1), Bytes(32, 2)};

  EXPECT_EQ(RuleOf(area.Marshal()), "public.unique-size");
}

TEST(PublicArea, RefusesWeakRsa) {
  PublicArea area = EkTemplateArea(EkTemplate::kL1Rsa2048);
  area.unique = RsaUnique{1024, 0, Bytes(128, 1)};
  EXPECT_EQ(RuleOf(area.Marshal()), "public.key-bits");
  area.unique = RsaUnique{2048, 3, Bytes(256, 1)};
  EXPECT_EQ(RuleOf(area.Marshal()), "public.exponent");
  area.unique = RsaUnique{2048, 0, Bytes(255, 1)};
  EXPECT_EQ(RuleOf(area.Marshal()), "public.unique-size");
}

TEST(PublicArea, RefusesAKeyWhoseSchemeUsesSha1) {
  EXPECT_EQ(RuleOf(AttestVector("akcreate-rsa-infineon/Public.bin")), "public.scheme");
}

TEST(PublicArea, RefusesAPointOffTheCurve) {
  EXPECT_EQ(ParsePublicArea(EccAk())->ToPublicKey().error().reason, Reason::kMalformed);
}

TEST(PublicArea, RefusesMoreThanTheLimit) {
  EXPECT_EQ(ParsePublicArea(Bytes(kPublicAreaBytesMax + 1)).error().reason, Reason::kTooLarge);
}

TEST(Tpm2bPublic, RefusesATrailingByteOutsideAndInside) {
  ByteWriter outside;
  outside.Sized16(EccAk()).U8(0);
  Bytes longer = EccAk();
  longer.push_back(0);
  ByteWriter inside;
  inside.Sized16(longer);

  EXPECT_EQ(ParseTpm2bPublic(outside.bytes()).error().name(), "public.structure");
  EXPECT_EQ(ParseTpm2bPublic(inside.bytes()).error().name(), "public.structure");
}

}  // namespace
}  // namespace sallyport::pki
