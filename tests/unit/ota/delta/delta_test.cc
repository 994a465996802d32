#include "ota/delta/delta.h"

#include "tests/unit/ota/delta/delta_fixture.h"

namespace sallyport::ota {
namespace {

constexpr DeltaOptions kSmall = {.segment_size = 32 * 1024, .threads = 2};
const ImagePair kPair = MakeImagePair();
const MadeDelta kDelta = MakeDeltaForTest(kPair.from, kPair.to, kSmall);

Result<Bytes> Decode(const MadeDelta& delta, ByteView from) {
  BytesReader old(from);
  BytesSink sink;
  StreamDecoder decoder(delta.table, 0, sink, &old);
  SP_TRY(decoder.Feed(delta.payload));
  SP_TRY(decoder.Finish());
  return std::move(sink.image);
}

size_t Count(const MadeDelta& delta, CodecId codec) {
  return static_cast<size_t>(std::ranges::count(delta.table.segments(), codec, &Segment::codec));
}

std::string_view RuleOf(const Bytes& from, const Bytes& to, const DeltaOptions& options) {
  MemoryFileSystem files;
  const auto old = FileOf(files, "from", from);
  const auto fresh = FileOf(files, "to", to);
  const auto payload = *files.Open("payload", OpenMode::kCreate);
  const auto made = MakeDelta(*old, *fresh, *payload, options);
  return made ? "made" : made.error().rule;
}

TEST(MakeDelta, TurnsTheOldImageIntoTheNewOne) {
  const auto image = Decode(kDelta, kPair.from);
  ASSERT_TRUE(image) << image.error().ToString();
  EXPECT_EQ(*image, kPair.to);
}

TEST(MakeDelta, CostsLittleMoreThanWhatIsNew) {
  // 9,777 bytes of noise are new, and every 24th byte of 60,000 is one of two corrections.
  EXPECT_LT(kDelta.payload.size(), 14000u);
  EXPECT_GT(Count(kDelta, CodecId::kPatch), 0u);
  EXPECT_GT(Count(kDelta, CodecId::kZero) + Count(kDelta, CodecId::kCopy), 0u);
}

TEST(MakeDelta, NamesTheImageItStartsFrom) {
  ASSERT_TRUE(kDelta.table.source());
  EXPECT_EQ(kDelta.table.source()->length, kPair.from.size());
  const auto parsed = SegmentTable::Parse(AsBytes(kDelta.table.ToJson()));
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_EQ(*parsed, kDelta.table);
}

TEST(MakeDelta, IsDeterministicWhateverTheThreads) {
  const MadeDelta one = MakeDeltaForTest(kPair.from, kPair.to, {32 * 1024, 1});
  const MadeDelta three = MakeDeltaForTest(kPair.from, kPair.to, {32 * 1024, 3});
  EXPECT_EQ(one.payload, kDelta.payload);
  EXPECT_EQ(three.payload, kDelta.payload);
  EXPECT_EQ(one.table, three.table);
}

TEST(MakeDelta, OfAnImageToItselfIsNearlyNothingButNeverEmpty) {
  const MadeDelta same = MakeDeltaForTest(kPair.from, kPair.from, kSmall);
  EXPECT_GT(same.payload.size(), 0u) << "a target of the repository is never empty";
  EXPECT_LT(same.payload.size(), 100u);
  EXPECT_EQ(*Decode(same, kPair.from), kPair.from);
}

TEST(MakeDelta, WorksWithoutAnythingInCommonOrAnOldImageAtAll) {
  const Bytes fresh = Noise(100000, 77);
  for (const Bytes& from : {Noise(50000, 78), Bytes(), Bytes(100)}) {
    const MadeDelta delta = MakeDeltaForTest(from, fresh, kSmall);
    EXPECT_EQ(*Decode(delta, from), fresh);
    EXPECT_LT(delta.payload.size(), 101000u);
  }
}

TEST(MakeDelta, HandlesImagesOfZerosAndOfLessThanABlock) {
  for (const Bytes& to : {Bytes(100000), Bytes(1, 7), Bytes(4095, 0), Bytes(4097, 9)})
    EXPECT_EQ(*Decode(MakeDeltaForTest(kPair.from, to, kSmall), kPair.from), to);
}

TEST(MakeDelta, DecodesFromNoOtherImage) {
  Bytes drifted = kPair.from;
  drifted[50000 + 5000] ^= 1;
  EXPECT_EQ(Decode(kDelta, drifted).error().rule, "payload.source-digest");
  EXPECT_EQ(Decode(kDelta, ByteView(drifted).first(60000)).error().rule, "payload.source-read");
}

TEST(MakeDelta, RefusesAnEmptyImageAndBadSegmentSizes) {
  EXPECT_EQ(RuleOf(kPair.from, {}, kSmall), "payload.empty-image");
  for (const uint64_t size : {uint64_t{0}, uint64_t{4097}, kSegmentSizeMax + 4096})
    EXPECT_EQ(RuleOf(kPair.from, kPair.to, {size, 1}), "payload.segment-size");
}

TEST(MakeDelta, ReportsProgressUpToTheWholeImage) {
  MemoryFileSystem files;
  const auto old = FileOf(files, "from", kPair.from);
  const auto fresh = FileOf(files, "to", kPair.to);
  const auto payload = *files.Open("payload", OpenMode::kCreate);
  std::vector<uint64_t> done;
  ASSERT_TRUE(MakeDelta(*old, *fresh, *payload, kSmall, [&](uint64_t at, uint64_t total) {
    EXPECT_EQ(total, kPair.to.size());
    done.push_back(at);
  }));
  EXPECT_TRUE(std::ranges::is_sorted(done));
  EXPECT_EQ(done.back(), kPair.to.size());
}

}  // namespace
}  // namespace sallyport::ota
