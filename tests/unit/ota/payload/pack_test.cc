#include "ota/payload/pack.h"

#include "pki/crypto/hash.h"
#include "tests/fakes/payload_builder.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kPiece = 4096;

Result<SegmentTable> Pack(const Bytes& image, const PackOptions& options,
                          uint64_t limit = UINT64_MAX) {
  MemoryFileSystem files;
  auto in = *files.Open("image", OpenMode::kCreate);
  SP_TRY(in->WriteAt(0, image));
  auto out = *files.Open("payload", OpenMode::kCreate);
  files.LimitBytes(limit);
  return PackImage(*in, *out, options);
}

TEST(PackImage, CoversTheImageWithSegmentsAndHashesIt) {
  const Bytes image = TestImage(5 * kPiece + 100, 1);

  const PackedImage packed = PackForTest(image, kPiece);

  EXPECT_EQ(packed.table.segments().size(), 6u);
  EXPECT_EQ(packed.table.image_length(), image.size());
  EXPECT_EQ(packed.table.image_sha256(), pki::Sha256(image));
  EXPECT_EQ(packed.table.payload_length(), packed.payload.size());
  EXPECT_EQ(packed.table.segments().back().length, 100u);
}

TEST(PackImage, SpendsNoDataOnHoles) {
  Bytes image = TestImage(4 * kPiece, 1);
  std::fill_n(image.begin() + kPiece, kPiece, uint8_t{0});

  EXPECT_EQ(PackForTest(image, kPiece).table.segments()[1].codec, CodecId::kZero);
}

TEST(PackImage, KeepsDataInTheFirstSegmentOfAnAllZeroImage) {
  const PackedImage packed = PackForTest(Bytes(3 * kPiece), kPiece);

  EXPECT_EQ(packed.table.segments()[0].codec, CodecId::kZstd);
  EXPECT_EQ(packed.table.segments()[1].codec, CodecId::kZero);
  EXPECT_GT(packed.payload.size(), 0u);
}

TEST(PackImage, IsDeterministic) {
  const Bytes image = TestImage(100000, 9);
  const PackedImage one = PackForTest(image, kPiece);
  const PackedImage two = PackForTest(image, kPiece);

  EXPECT_EQ(one.payload, two.payload);
  EXPECT_EQ(one.table.ToJson(), two.table.ToJson());
}

TEST(PackImage, IsTheSameWhateverTheThreads) {
  Bytes image = TestImage(7 * kPiece + 100, 9);
  std::fill_n(image.begin() + kPiece, 2 * kPiece, uint8_t{0});
  const auto pack = [&](unsigned threads) {
    return Pack(image, {.segment_size = kPiece, .threads = threads})->ToJson();
  };
  for (const unsigned threads : {2u, 3u, 8u, 20u}) EXPECT_EQ(pack(threads), pack(1));
}

TEST(PackImage, RefusesAnEmptyImage) {
  EXPECT_EQ(Pack({}, {}).error().rule, "payload.empty-image");
}

TEST(PackImage, RefusesOptionsOutsideTheirRange) {
  for (const int level : {0, 20})
    EXPECT_EQ(Pack(Bytes(1), {.level = level}).error().rule, "payload.level");
  for (const uint64_t size : {uint64_t{0}, kSegmentSizeMax + kPiece})
    EXPECT_EQ(Pack(Bytes(1), {.segment_size = size}).error().rule, "payload.segment-size");
  EXPECT_EQ(Pack(Bytes(1), {.threads = 0}).error().rule, "payload.segment-size");
  EXPECT_EQ(Pack(Bytes(1), {.segment_size = kPiece + 1}).error().rule, "payload.segment-size");
}

TEST(PackImage, ReportsAFullDisk) {
  EXPECT_EQ(Pack(TestImage(100000, 1), {}, 100100).error().reason, Reason::kNoSpace);
}

}  // namespace
}  // namespace sallyport::ota
