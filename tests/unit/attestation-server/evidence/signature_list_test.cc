#include "attestation-server/evidence/signature_list.h"

#include <gtest/gtest.h>

#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

std::string RuleOf(ByteView bytes) {
  const auto ids = ParseSignatureLists(bytes);
  return ids ? "" : std::string(ids.error().rule);
}

TEST(ParseSignatureLists, TakesNoBytesAsAnEmptyDatabase) {
  EXPECT_TRUE(ParseSignatureLists({}).value().empty());
}

TEST(ParseSignatureLists, RefusesEveryTruncationOfARealDatabase) {
  const Bytes whole = VectorFile("uefi/2.siglist");
  ASSERT_EQ(ParseSignatureLists(whole).value().size(), 2u);
  size_t lists = 0;
  for (size_t size = 1; size < whole.size(); ++size) {
    const auto cut = ParseSignatureLists(ByteView(whole).first(size));
    if (!cut) continue;
    ++lists;
    EXPECT_EQ(cut->size(), 1u) << "only whole lists";
  }
  EXPECT_EQ(lists, 1u);
}

TEST(ParseSignatureLists, RefusesSizesThatDisagree) {
  EXPECT_EQ(RuleOf(VectorFile("uefi/inconsistent-sizes1.siglist")), "signature-list.sizes");
  EXPECT_EQ(RuleOf(VectorFile("uefi/invalid-sigheader-size.siglist")), "signature-list.sizes");
  EXPECT_EQ(RuleOf(VectorFile("uefi/invalid-signature-size.siglist")), "signature-list.sizes");
  Bytes zero = VectorFile("uefi/1.siglist");
  std::fill_n(zero.begin() + 24, 4, uint8_t{0});
  EXPECT_EQ(RuleOf(zero), "signature-list.sizes");
}

TEST(ParseSignatureLists, RefusesMoreSignaturesThanTheLimit) {
  ByteWriter list;
  list.Raw(HexDecode("2616c4c14c509240aca941f936934328").value());
  const auto count = static_cast<uint32_t>(kSignaturesMax + 1);
  list.LittleU32(28 + 48 * count).LittleU32(0).LittleU32(48).Raw(Bytes(size_t{48} * count, 1));
  EXPECT_EQ(RuleOf(list.bytes()), "signature-list.too-many");
}

TEST(SignatureId, ReadsWhatItWrites) {
  const std::vector<SignatureId> ids = ParseSignatureLists(VectorFile("uefi/4.siglist")).value();
  for (const SignatureId& id : ids) EXPECT_EQ(SignatureId::Parse(id.Text()).value(), id);
  for (const char* const bad : {"", "x509", "x509:", "x509:00", "md5:00", ":", "sha256"})
    EXPECT_EQ(SignatureId::Parse(bad).error().rule, "signature.id") << bad;
}

TEST(ParseSignatureData, TellsACertificateFromAnImageHash) {
  EXPECT_EQ(ParseSignatureData(Bytes(16 + 32, 5)).value(),
            (SignatureId{SignatureKind::kSha256, Sha256Digest::FromView(Bytes(32, 5))->array()}));
  EXPECT_EQ(ParseSignatureData(Bytes(16 + 90, 5))->kind, SignatureKind::kX509);
  EXPECT_EQ(ParseSignatureData(Bytes(16, 5)).error().rule, "signature-list.truncated");
}

}  // namespace
}  // namespace sallyport::server
