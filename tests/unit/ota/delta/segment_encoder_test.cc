#include "ota/delta/segment_encoder.h"

#include "tests/unit/ota/delta/delta_fixture.h"

namespace sallyport::ota {
namespace {

using Kind = PatchOp::Kind;

const Bytes kOld = Noise(6000 * kSourceBlock, 1);

Bytes Old(uint64_t block, uint64_t count) {
  return ToBytes(ByteView(kOld).subspan(static_cast<size_t>(block * kSourceBlock),
                                        static_cast<size_t>(count * kSourceBlock)));
}

EncodedSegment Encode(const Bytes& segment, const std::vector<OldOp>& ops,
                      bool needs_data = false) {
  BytesReader old(kOld);
  auto encoded = SegmentEncoder(old).Encode(segment, ops, needs_data);
  SP_CHECK(encoded.has_value());
  return *std::move(encoded);
}

TEST(SegmentEncoder, CopiesWholeBlocksWithoutData) {
  Bytes segment = Old(3, 2);
  Append(segment, Old(9, 1));
  const std::vector<OldOp> ops = {{Kind::kCopy, 2 * kSourceBlock, 3 * kSourceBlock},
                                  {Kind::kCopy, kSourceBlock, 9 * kSourceBlock}};
  const EncodedSegment encoded = Encode(segment, ops);
  EXPECT_EQ(encoded.codec, CodecId::kCopy);
  EXPECT_TRUE(encoded.data.empty());
  EXPECT_EQ(encoded.source->ranges, (std::vector<SourceRange>{{3, 2}, {9, 1}}));
  EXPECT_EQ(Encode(segment, ops, true).codec, CodecId::kPatch);
}

TEST(SegmentEncoder, PatchesBlocksThatStandInAnotherOrder) {
  Bytes segment = Old(9, 1);
  Append(segment, Old(3, 1));
  const EncodedSegment encoded = Encode(segment, {{Kind::kCopy, kSourceBlock, 9 * kSourceBlock},
                                                  {Kind::kCopy, kSourceBlock, 3 * kSourceBlock}});
  EXPECT_EQ(encoded.codec, CodecId::kPatch);
  EXPECT_EQ(encoded.source->ranges.size(), 1u) << "a small gap is read along";
  EXPECT_LT(encoded.data.size(), 64u);
}

TEST(SegmentEncoder, TakesZstdWithTheSourceWhereTheOperationsAreBad) {
  const Bytes segment = Old(3, 4);
  const EncodedSegment encoded =
      Encode(segment, {{Kind::kNew, segment.size() - 10}, {Kind::kAdd, 10, 100 * kSourceBlock}});
  EXPECT_EQ(encoded.codec, CodecId::kZstd) << "one block of source does not help";
  std::vector<OldOp> ops = {{Kind::kNew, segment.size() - 4}};
  for (uint64_t block = 3; block < 7; ++block) ops.push_back({Kind::kAdd, 1, block * kSourceBlock});
  EXPECT_EQ(Encode(segment, ops).codec, CodecId::kZstdRef);
}

TEST(SegmentEncoder, TakesPlainZstdWithoutASource) {
  const EncodedSegment encoded = Encode(Bytes(5000, 'x'), {{Kind::kNew, 5000}});
  EXPECT_EQ(encoded.codec, CodecId::kZstd);
  EXPECT_FALSE(encoded.source);
}

TEST(SegmentEncoder, KeepsWithinWhatADeviceCanHold) {
  // 64 KiB of segment, a little from each of 5,800 blocks: more than the source may be.
  Bytes segment;
  std::vector<OldOp> ops;
  for (uint64_t block = 0; block < 5800; ++block) {
    const uint64_t length = block < 2000 ? 16 : 8;
    Append(segment, ByteView(kOld).subspan(static_cast<size_t>(block * kSourceBlock),
                                           static_cast<size_t>(length)));
    ops.push_back({Kind::kAdd, length, block * kSourceBlock});
  }
  const EncodedSegment encoded = Encode(segment, ops);
  const uint64_t source = encoded.source ? encoded.source->Size() : 0;
  EXPECT_LE(encoded.data.size() + source, kSegmentInputMax);
}

TEST(SegmentEncoder, PassesOnThatTheOldImageCannotBeRead) {
  BytesReader old(ByteView(kOld).first(100));
  EXPECT_EQ(SegmentEncoder(old)
                .Encode(Bytes(kSourceBlock), {{Kind::kCopy, kSourceBlock, 0}}, false)
                .error()
                .reason,
            Reason::kUnavailable);
}

TEST(SegmentEncoder, RefusesOperationsThatDoNotMakeTheSegment) {
  BytesReader old(kOld);
  EXPECT_EQ(SegmentEncoder(old)
                .Encode(Bytes(kSourceBlock, 1), {{Kind::kCopy, kSourceBlock, 0}}, false)
                .error()
                .reason,
            Reason::kInternal);
}

}  // namespace
}  // namespace sallyport::ota
