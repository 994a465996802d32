#include "ota/payload/stream_decoder.h"

#include <functional>

#include "pki/crypto/hash.h"
#include "tests/fakes/payload_builder.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kPiece = 4096;
const Bytes kImage = TestImage(16 * kPiece + 5, 7);
const PackedImage kPacked = PackForTest(kImage, kPiece);

class CollectingSink final : public SegmentSink {
 public:
  Result<Unit> Write(const Segment& segment, ByteView decoded) override {
    EXPECT_EQ(decoded.size(), segment.length);
    if (full_after == image.size()) return Error{Reason::kNoSpace, "injected"};
    Append(image, decoded);
    return Unit{};
  }
  Bytes image;
  size_t full_after = SIZE_MAX;
};

std::string_view RuleOf(const SegmentTable& table, ByteView payload) {
  CollectingSink sink;
  StreamDecoder decoder(table, 0, sink);
  if (const auto fed = decoder.Feed(payload); !fed) return fed.error().rule;
  const auto finished = decoder.Finish();
  return finished ? "accepted" : finished.error().rule;
}

SegmentTable With(const std::function<void(Segment&)>& change, size_t index) {
  std::vector<Segment> segments = kPacked.table.segments();
  change(segments[index]);
  return *SegmentTable::Make(kPacked.table.image_length(), kPacked.table.image_sha256(), kPiece,
                             segments);
}

TEST(StreamDecoder, DecodesPiecesOfAnySize) {
  for (const size_t step : {size_t{1}, size_t{7}, size_t{4096}, kPacked.payload.size()}) {
    CollectingSink sink;
    StreamDecoder decoder(kPacked.table, 0, sink);
    for (size_t at = 0; at < kPacked.payload.size(); at += step) {
      EXPECT_EQ(decoder.payload_offset(), at);
      const size_t size = std::min(step, kPacked.payload.size() - at);
      ASSERT_TRUE(decoder.Feed(ByteView(kPacked.payload).subspan(at, size)));
    }
    ASSERT_TRUE(decoder.Finish());
    EXPECT_EQ(sink.image, kImage) << step;
  }
}

TEST(StreamDecoder, ResumesAtEverySegment) {
  for (size_t first = 0; first <= kPacked.table.segments().size(); ++first) {
    CollectingSink sink;
    StreamDecoder decoder(kPacked.table, first, sink);
    ASSERT_TRUE(decoder.Feed(
        ByteView(kPacked.payload).subspan(static_cast<size_t>(decoder.payload_offset()))));
    ASSERT_TRUE(decoder.Finish());
    EXPECT_EQ(sink.image.size(), kImage.size() - std::min(first * kPiece, kImage.size())) << first;
  }
}

TEST(StreamDecoder, RefusesEveryFlippedBitBeforeItReachesTheSink) {
  for (size_t at = 0; at < kPacked.payload.size(); at += 13) {
    Bytes bad = kPacked.payload;
    bad[at] ^= 1;
    CollectingSink sink;
    StreamDecoder decoder(kPacked.table, 0, sink);
    EXPECT_EQ(decoder.Feed(bad).error().rule, "payload.data-digest") << at;
    EXPECT_TRUE(std::equal(sink.image.begin(), sink.image.end(), kImage.begin()));
  }
}

TEST(StreamDecoder, RefusesDataThatDecodesToSomethingElse) {
  const SegmentTable table = With([](Segment& s) { s.sha256 = pki::Sha256(AsBytes("other")); }, 2);
  EXPECT_EQ(RuleOf(table, kPacked.payload), "payload.segment-digest");
}

TEST(StreamDecoder, RefusesAZeroSegmentThatShouldNotBeZero) {
  size_t hole = 0;
  while (kPacked.table.segments()[hole].codec != CodecId::kZero) ++hole;
  const SegmentTable table =
      With([](Segment& s) { s.sha256 = pki::Sha256(AsBytes("other")); }, hole);
  EXPECT_EQ(RuleOf(table, kPacked.payload), "payload.segment-digest");
}

TEST(StreamDecoder, RefusesSignedDataThatIsNoZstdFrame) {
  Bytes payload = kPacked.payload;
  payload[0] ^= 1;
  const SegmentTable table = With(
      [&](Segment& s) {
        s.data_sha256 = pki::Sha256(ByteView(payload).first(static_cast<size_t>(s.data_length)));
      },
      0);
  EXPECT_EQ(RuleOf(table, payload), "payload.zstd-frame");
}

TEST(StreamDecoder, RefusesAnEarlyEndAndALateOne) {
  const ByteView payload = kPacked.payload;
  EXPECT_EQ(RuleOf(kPacked.table, payload), "accepted");
  EXPECT_EQ(RuleOf(kPacked.table, payload.first(payload.size() - 1)), "payload.truncated");
  EXPECT_EQ(RuleOf(kPacked.table, {}), "payload.truncated");
  Bytes longer = kPacked.payload;
  longer.push_back(0);
  EXPECT_EQ(RuleOf(kPacked.table, longer), "payload.trailing");
}

TEST(StreamDecoder, PassesOnWhatTheSinkRefuses) {
  CollectingSink sink;
  sink.full_after = 2 * kPiece;
  StreamDecoder decoder(kPacked.table, 0, sink);
  EXPECT_EQ(decoder.Feed(kPacked.payload).error().reason, Reason::kNoSpace);
}

}  // namespace
}  // namespace sallyport::ota
