#include "pki/tpm/attest.h"

#include "pki/tpm/creation_data.h"
#include "pki/tpm/signature.h"
#include "tests/unit/pki/tpm/vectors.h"

namespace sallyport::pki {
namespace {

ByteWriter Header(uint16_t type) {
  ByteWriter writer;
  writer.BigU32(tpm::kGenerated).BigU16(type).Sized16(Bytes(34, 1)).Sized16(Bytes(32, 2));
  writer.BigU64(1000).BigU32(3).BigU32(4).U8(1).BigU64(0x0102030405060708);
  return writer;
}
Bytes QuoteOf(const PcrSelection& selection) {
  ByteWriter writer = Header(0x8018);
  WritePcrSelection(writer, selection);
  writer.Sized16(Bytes(32, 5));
  return std::move(writer).Take();
}
Bytes Quote() { return QuoteOf({{tpm::kAlgSha256, 0x000A95}}); }
Bytes Certify() {
  return std::move(Header(0x8017).Sized16(Bytes(34, 6)).Sized16(Bytes(34, 7))).Take();
}
Bytes Creation() {
  return std::move(Header(0x801A).Sized16(Bytes(34, 6)).Sized16(Bytes(32, 7))).Take();
}

Bytes Nv(size_t contents = 8) {
  return std::move(Header(0x8014).Sized16(Bytes(34, 6)).BigU16(3).Sized16(Bytes(contents, 7)))
      .Take();
}

std::string_view RuleOf(ByteView bytes) {
  const auto attest = ParseAttest(bytes);
  return attest ? "" : attest.error().name();
}

TEST(Attest, ReadsAQuote) {
  const Attest attest = *ParseAttest(Quote());

  ASSERT_NE(attest.quote(), nullptr);
  EXPECT_EQ(attest.extra_data, Bytes(32, 2));
  EXPECT_EQ(attest.clock, (ClockInfo{1000, 3, 4, true}));
  EXPECT_EQ(attest.firmware_version, 0x0102030405060708u);
  EXPECT_TRUE(attest.quote()->selection[0].Selects(0));
  EXPECT_FALSE(attest.quote()->selection[0].Selects(1));
  EXPECT_TRUE(attest.quote()->selection[0].Selects(11));
}

TEST(Attest, ReadsCertifyAndCreation) {
  EXPECT_EQ(ParseAttest(Certify())->certify()->qualified_name, Bytes(34, 7));
  EXPECT_EQ(ParseAttest(Creation())->creation()->creation_hash, Bytes(32, 7));
}

TEST(Attest, ReadsTheContentsOfAnNvIndex) {
  const Attest attest = *ParseAttest(Nv());
  ASSERT_NE(attest.nv(), nullptr);
  EXPECT_EQ(*attest.nv(), (NvBody{Bytes(34, 6), 3, Bytes(8, 7)}));
  EXPECT_TRUE(ParseAttest(Nv(64)));
  EXPECT_EQ(RuleOf(Nv(65)), "attest.structure");
}

TEST(Attest, RefusesEveryTruncationAndATrailingByte) {
  for (Bytes bytes : {Quote(), Certify(), Creation(), Nv()}) {
    for (size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(ParseAttest(ByteView(bytes).first(size)).has_value()) << size;
    bytes.push_back(0);
    EXPECT_EQ(RuleOf(bytes), "attest.structure");
  }
}

TEST(Attest, EveryBitFlipIsRefusedOrChangesTheValue) {
  for (const Bytes& original : {Quote(), Certify(), Creation(), Nv()}) {
    const Attest attest = *ParseAttest(original);
    for (size_t bit = 0; bit < original.size() * 8; ++bit) {
      Bytes flipped = original;
      flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ (1u << (bit % 8)));
      const auto parsed = ParseAttest(flipped);
      EXPECT_TRUE(!parsed || *parsed != attest) << bit;
    }
  }
}

TEST(Attest, RefusesBytesThatNoTpmMade) {
  Bytes bytes = Quote();
  bytes[0] = 0;
  EXPECT_EQ(RuleOf(bytes), "attest.magic");
}

TEST(Attest, RefusesKindsThatWeNeverAskFor) {
  Bytes bytes = Quote();
  bytes[5] = 0x19;
  EXPECT_EQ(RuleOf(bytes), "attest.type");
}

TEST(Attest, RefusesASafeFlagThatIsNoFlag) {
  Bytes bytes = Quote();
  bytes[6 + 36 + 34 + 16] = 2;
  EXPECT_EQ(RuleOf(bytes), "attest.safe");
}

TEST(Attest, RefusesMoreThanTheLimit) {
  EXPECT_EQ(ParseAttest(Bytes(kAttestBytesMax + 1)).error().reason, Reason::kTooLarge);
}

TEST(PcrSelection, RefusesABankTwice) {
  EXPECT_EQ(RuleOf(QuoteOf({{tpm::kAlgSha256, 1}, {tpm::kAlgSha256, 2}})), "selection.bank-twice");
}

TEST(PcrSelection, RefusesTooManyBanks) {
  PcrSelection selection;
  for (uint16_t i = 0; i <= kPcrBanksMax; ++i) selection.push_back({i, 1});
  EXPECT_EQ(RuleOf(QuoteOf(selection)), "selection.count");
}

TEST(PcrSelection, RefusesASelectOfAnotherSize) {
  ByteWriter writer = Header(0x8018);
  writer.BigU32(1).BigU16(tpm::kAlgSha256).U8(4).BigU32(0).Sized16(Bytes(32, 5));
  EXPECT_EQ(RuleOf(writer.bytes()), "selection.select-size");
}

TEST(PcrSelection, NamesItsOwnTruncation) {
  ByteWriter writer = Header(0x8018);
  writer.BigU32(1).BigU16(tpm::kAlgSha256);
  EXPECT_EQ(RuleOf(writer.bytes()), "selection.structure");
}

TEST(QuoteSignature, VerifiesOnARealQuoteAndOnNothingElse) {
  const PublicArea ak = *ParsePublicArea(AttestVector("gce-cos-85-no-nonce/ak.tpmt_public"));
  Bytes attest = AttestVector("gce-cos-85-no-nonce/quote-sha256.tpms_attest");
  const Bytes signature = AttestVector("gce-cos-85-no-nonce/quote-sha256.tpmt_signature");

  EXPECT_TRUE(VerifyTpmSignature(ak, attest, signature).has_value());
  EXPECT_EQ(ParseAttest(attest)->quote()->selection, (PcrSelection{{tpm::kAlgSha256, 0xFFFFFF}}));
  attest.back() ^= 1;
  EXPECT_EQ(VerifyTpmSignature(ak, attest, signature).error().reason, Reason::kBadSignature);
}

TEST(QuoteSignature, VerifiesAQuoteMadeWithOtherTools) {
  const PublicArea ak = *ParseTpm2bPublic(AttestVector("keylime-tpm2-quote/ak.pub"));
  const Bytes attest = AttestVector("keylime-tpm2-quote/quote.out");

  EXPECT_TRUE(
      VerifyTpmSignature(ak, attest, AttestVector("keylime-tpm2-quote/quotesig.out")).has_value());
  EXPECT_EQ(ParseAttest(attest)->extra_data, AttestVector("keylime-tpm2-quote/rand.out"));
}

TEST(CreationData, MatchesItsAttestation) {
  const Bytes data = AttestVector("akcreate-rsa-infineon/CreateData.bin");
  const Attest attest = *ParseAttest(AttestVector("akcreate-rsa-infineon/CreateAttestation.bin"));

  ASSERT_NE(attest.creation(), nullptr);
  EXPECT_EQ(attest.creation()->creation_hash, CreationHash(HashAlgorithm::kSha256, data));
  EXPECT_FALSE(ParseCreationData(data)->PrimaryOf(tpm::kNullHierarchy));
}

TEST(CreationData, KnowsAPrimaryKeyOfAHierarchy) {
  ByteWriter writer;
  writer.BigU32(0).Sized16(Bytes(32, 1)).U8(1).BigU16(tpm::kAlgNull);
  const Bytes handle = {0x40, 0x00, 0x00, 0x07};
  writer.Sized16(handle).Sized16(handle).Sized16(Bytes(32, 9));

  const CreationData data = *ParseCreationData(writer.bytes());

  EXPECT_TRUE(data.PrimaryOf(tpm::kNullHierarchy));
  EXPECT_FALSE(data.PrimaryOf(tpm::kOwner));
  EXPECT_EQ(data.outside_info, Bytes(32, 9));
}

TEST(CreationData, RefusesEveryTruncationAndATrailingByte) {
  Bytes data = AttestVector("akcreate-rsa-infineon/CreateData.bin");
  for (size_t size = 0; size < data.size(); ++size)
    EXPECT_FALSE(ParseCreationData(ByteView(data).first(size)).has_value()) << size;
  data.push_back(0);
  EXPECT_EQ(ParseCreationData(data).error().name(), "creation.structure");
  EXPECT_EQ(ParseCreationData(Bytes(kCreationDataBytesMax + 1)).error().reason, Reason::kTooLarge);
}

}  // namespace
}  // namespace sallyport::pki
