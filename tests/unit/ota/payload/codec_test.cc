#include "ota/payload/codec.h"

namespace sallyport::ota {
namespace {

Bytes Patterned(size_t size) {
  Bytes out(size);
  uint32_t state = 1;
  for (size_t i = 0; i < size; ++i) {
    state = state * 1664525 + 1013904223;
    out[i] = static_cast<uint8_t>((state >> 24) & 0x0f);
  }
  return out;
}

// RuleOfDecode decodes `data` into `size` bytes with the zstd codec.
std::string_view RuleOfDecode(const Bytes& data, size_t size) {
  Bytes out(size);
  const auto decoded = MakeZstdCodec(3)->Decode(data, out);
  return decoded ? "accepted" : decoded.error().rule;
}

TEST(ZstdCodec, DecodesWhatItEncoded) {
  for (const size_t size : {1u, 4095u, 4096u, 1000000u}) {
    const Bytes plain = Patterned(size);
    const auto data = MakeZstdCodec(3)->Encode(plain);
    ASSERT_TRUE(data);
    Bytes out(size);
    ASSERT_TRUE(MakeZstdCodec(19)->Decode(*data, out));
    EXPECT_EQ(out, plain);
  }
}

TEST(ZstdCodec, IsDeterministic) {
  const Bytes plain = Patterned(300000);
  EXPECT_EQ(*MakeZstdCodec(15)->Encode(plain), *MakeZstdCodec(15)->Encode(plain));
}

TEST(ZstdCodec, RefusesEveryTruncation) {
  const Bytes plain = Patterned(2000);
  const Bytes data = *MakeZstdCodec(3)->Encode(plain);
  for (size_t size = 0; size < data.size(); ++size)
    EXPECT_EQ(RuleOfDecode(Bytes(data.begin(), data.begin() + static_cast<ptrdiff_t>(size)),
                           plain.size()),
              "payload.zstd-frame")
        << size;
}

TEST(ZstdCodec, RefusesAnotherSizeThanTheSegments) {
  const Bytes data = *MakeZstdCodec(3)->Encode(Patterned(2000));
  EXPECT_EQ(RuleOfDecode(data, 1999), "payload.zstd-frame");
  EXPECT_EQ(RuleOfDecode(data, 2001), "payload.zstd-frame");
}

TEST(ZstdCodec, RefusesDataBehindTheFrame) {
  Bytes data = *MakeZstdCodec(3)->Encode(Patterned(2000));
  data.push_back(0);
  EXPECT_EQ(RuleOfDecode(data, 2000), "payload.zstd-frame");
}

TEST(ZstdCodec, RefusesAFrameThatAsksForItsOwnWindow) {
  // Magic, descriptor with an 8-byte content size and no Single_Segment_Flag, window of 2 GiB,
  // content size 16, one raw block of 16 bytes.
  Bytes data = {0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0xa8, 16, 0, 0, 0, 0, 0, 0, 0, 0x81, 0x00, 0x00};
  data.resize(data.size() + 16, 'x');
  EXPECT_EQ(RuleOfDecode(data, 16), "payload.zstd-frame");
}

TEST(ZstdCodec, RefusesASkippableFrame) {
  EXPECT_EQ(RuleOfDecode({0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, 16), "payload.zstd-frame");
}

TEST(ZstdCodec, RefusesACorruptBlock) {
  const Bytes data = {0x28, 0xb5, 0x2f, 0xfd, 0x20,
                      16,   0x07, 0x00, 0x00};  // block of the reserved type
  EXPECT_NE(RuleOfDecode(data, 16), "accepted");
  Bytes good = *MakeZstdCodec(3)->Encode(Patterned(4000));
  int refused_late = 0;
  for (size_t i = 8; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 0xff;
    refused_late += RuleOfDecode(bad, 4000) == "payload.zstd-data" ? 1 : 0;
  }
  EXPECT_GT(refused_late, 0);
}

TEST(ZstdCodec, TakesTheSourceAsItsDictionary) {
  const Bytes source = Patterned(300000);
  Bytes segment(source.begin() + 1000, source.begin() + 200000);
  segment[5000] ^= 1;
  const Bytes data = *MakeZstdCodec(15)->Encode(segment, source);
  EXPECT_LT(data.size(), 200u);
  Bytes out(segment.size());
  ASSERT_TRUE(CodecSet().Decode(CodecId::kZstdRef, data, source, out));
  EXPECT_EQ(out, segment);
  EXPECT_FALSE(CodecSet().Decode(CodecId::kZstdRef, data, {}, out));
}

TEST(CodecSet, CopiesTheStartOfTheSource) {
  Bytes out(100);
  ASSERT_TRUE(CodecSet().Decode(CodecId::kCopy, {}, Bytes(120, 7), out));
  EXPECT_EQ(out, Bytes(100, 7));
  EXPECT_EQ(CodecSet().Decode(CodecId::kCopy, Bytes(1), Bytes(120), out).error().rule,
            "payload.copy-data");
  EXPECT_EQ(CodecSet().Decode(CodecId::kCopy, {}, Bytes(99), out).error().rule,
            "payload.source-size");
}

TEST(ZeroCodec, WritesZerosAndTakesNoData) {
  Bytes out(100, 7);
  ASSERT_TRUE(MakeZeroCodec()->Decode({}, out));
  EXPECT_EQ(out, Bytes(100));
  EXPECT_EQ(MakeZeroCodec()->Decode(Bytes(1), out).error().rule, "payload.zero-data");
}

TEST(ZeroCodec, RefusesToEncodeAnythingElse) {
  Bytes almost(100);
  EXPECT_TRUE(MakeZeroCodec()->Encode(almost));
  almost.back() = 1;
  EXPECT_EQ(MakeZeroCodec()->Encode(almost).error().reason, Reason::kUnsupported);
}

}  // namespace
}  // namespace sallyport::ota
