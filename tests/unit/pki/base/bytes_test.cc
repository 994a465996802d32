#include "pki/base/bytes.h"

namespace sallyport {
namespace {

TEST(Hex, RoundTripsEveryByte) {
  Bytes all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<uint8_t>(i));

  EXPECT_EQ(*HexDecode(HexEncode(all)), all);
}

TEST(Hex, RefusesOddLengthAndOtherCharacters) {
  EXPECT_EQ(HexDecode("abc").error().reason, Reason::kMalformed);
  EXPECT_EQ(HexDecode("0x").error().reason, Reason::kMalformed);
}

TEST(Base32, MatchesRfc4648InLowerCaseWithoutPadding) {
  EXPECT_EQ(Base32LowerEncode(AsBytes("")), "");
  EXPECT_EQ(Base32LowerEncode(AsBytes("f")), "my");
  EXPECT_EQ(Base32LowerEncode(AsBytes("foobar")), "mzxw6ytboi");
}

TEST(Base64, MatchesRfc4648) {
  for (const auto& [plain, encoded] : std::map<std::string, std::string>{
           {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(Base64Encode(AsBytes(plain)), encoded);
    EXPECT_EQ(ToString(*Base64Decode(encoded)), plain);
  }
}

TEST(Base64, RefusesWhatIsNotCanonical) {
  for (const char* bad : {"Zg", "Zg=", "Zh==", "Zm8", "Z=8=", "Zm9v\n", "====", "Zg==Zg=="})
    EXPECT_FALSE(Base64Decode(bad)) << bad;
}

TEST(ByteReader, ReadsBothByteOrders) {
  const Bytes bytes = *HexDecode("0102030405060708090a0b0c");
  ByteReader reader(bytes, "test");

  EXPECT_EQ(*reader.BigU16(), 0x0102);
  EXPECT_EQ(*reader.LittleU16(), 0x0403);
  EXPECT_EQ(*reader.BigU64(), 0x05060708090a0b0cU);
  EXPECT_TRUE(reader.End());
}

TEST(ByteReader, RefusesToReadPastTheEnd) {
  const Bytes bytes = *HexDecode("000401");
  ByteReader reader(bytes, "test");

  EXPECT_EQ(reader.Sized16(16).error().reason, Reason::kMalformed);
}

TEST(ByteReader, RefusesALengthAboveItsMaximum) {
  const Bytes bytes = *HexDecode("00020102");

  EXPECT_FALSE(ByteReader(bytes, "test").Sized16(1));
  EXPECT_TRUE(ByteReader(bytes, "test").Sized16(2));
}

TEST(ByteReader, EndRefusesTrailingBytes) {
  const Bytes bytes{1, 2};
  ByteReader reader(bytes, "test");

  EXPECT_EQ(*reader.U8(), 1);
  EXPECT_FALSE(reader.End());
}

TEST(FixedBytes, RefusesAnotherLength) {
  using Four = FixedBytes<struct FourTag, 4>;

  EXPECT_TRUE(Four::FromView(Bytes(4)));
  EXPECT_FALSE(Four::FromView(Bytes(3)));
  EXPECT_FALSE(Four::FromView(Bytes(5)));
}

}  // namespace
}  // namespace sallyport
