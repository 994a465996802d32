#include "pki/crypto/hash.h"

namespace sallyport::pki {
namespace {

TEST(Sha256, MatchesTheKnownAnswer) {
  EXPECT_EQ(HexEncode(Sha256(AsBytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, HashesTheConcatenationOfItsParts) {
  EXPECT_EQ(Sha256({AsBytes("a"), AsBytes("bc")}), Sha256(AsBytes("abc")));
}

TEST(Hasher, AgreesWithOneShot) {
  Hasher hasher(HashAlgorithm::kSha384);
  hasher.Update(AsBytes("ab")).Update(AsBytes("c"));

  EXPECT_EQ(hasher.Finish(), Hash(HashAlgorithm::kSha384, {AsBytes("abc")}));
}

TEST(HmacSha256, MatchesRfc4231Case2) {
  EXPECT_EQ(HexEncode(HmacSha256(AsBytes("Jefe"),
                                 {AsBytes("what do ya want "), AsBytes("for nothing?")})),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(ConstantTimeEqual, IsFalseForOtherBytesAndOtherSizes) {
  EXPECT_TRUE(ConstantTimeEqual(Bytes{1, 2}, Bytes{1, 2}));
  EXPECT_FALSE(ConstantTimeEqual(Bytes{1, 2}, Bytes{1, 3}));
  EXPECT_FALSE(ConstantTimeEqual(Bytes{1, 2}, Bytes{1, 2, 3}));
}

TEST(LabelledDigest, SeparatesLabels) {
  EXPECT_NE(LabelledDigest("a", {AsBytes("x")}), LabelledDigest("b", {AsBytes("x")}));
  EXPECT_EQ(LabelledDigest("a", {AsBytes("x")}), Sha256(AsBytes(std::string_view("a\0x", 3))));
}

}  // namespace
}  // namespace sallyport::pki
