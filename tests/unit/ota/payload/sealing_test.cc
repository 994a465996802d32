#include "ota/payload/sealing.h"

#include <functional>

#include "ota/payload/stream_decoder.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/payload_builder.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kPiece = 4096;
const Bytes kImage = TestImage(8 * kPiece + 5, 7);
const PackedImage kPacked = PackForTest(kImage, kPiece);

pki::ContentSeal SealOf(uint8_t fill) {
  return pki::ContentSeal(*pki::ContentKey::FromView(Bytes(32, fill)));
}
const pki::ContentSeal kSeal = SealOf(1);
const pki::ContentSeal kOther = SealOf(2);

PackedImage SealPacked(const PackedImage& packed, const pki::ContentSeal& seal) {
  MemoryFileSystem files;
  const auto in = *files.Open("in", OpenMode::kCreate);
  const auto out = *files.Open("out", OpenMode::kCreate);
  SP_CHECK(in->WriteAt(0, packed.payload).has_value());
  auto table = SealSegments(packed.table, *in, *out, seal);
  SP_CHECK(table.has_value());
  return {*std::move(table), *ReadFile(files, "out", 1 << 20)};
}
const PackedImage kSealed = SealPacked(kPacked, kSeal);

class Collecting final : public SegmentSink {
 public:
  Result<Unit> Write(const Segment&, ByteView decoded) override {
    Append(image, decoded);
    return Unit{};
  }
  Bytes image;
};

std::string_view Decode(const SegmentTable& table, ByteView payload, const pki::ContentSeal* seal,
                        Bytes* image = nullptr) {
  Collecting sink;
  StreamDecoder decoder(table, 0, sink, nullptr, {}, seal);
  auto done = decoder.Feed(payload);
  if (done) done = decoder.Finish();
  if (image != nullptr) *image = sink.image;
  return done ? "decoded" : done.error().rule;
}

// Resigned is what somebody makes who may sign tables but has no key: digests fit, boxes do not.
SegmentTable Resigned(const std::vector<Segment>& segments, ByteView payload) {
  std::vector<Segment> changed = segments;
  for (Segment& segment : changed)
    segment.data_sha256 = pki::Sha256(payload.subspan(segment.data_offset, segment.data_length));
  return *SegmentTable::Make(kSealed.table.image_length(), kSealed.table.image_sha256(), kPiece,
                             std::move(changed), {}, PayloadForm::kSealed);
}

Bytes BoxOf(size_t index) {
  const Segment& segment = kSealed.table.segments()[index];
  return ToBytes(ByteView(kSealed.payload).subspan(segment.data_offset, segment.data_length));
}

std::string_view Open(const Segment& segment, Bytes box, const pki::ContentSeal* seal = &kSeal) {
  const auto opened = OpenSegment(kSealed.table, segment, box, seal);
  return opened ? "opened" : opened.error().rule;
}

TEST(SealedPayload, DecodesToTheImageUnderItsKey) {
  Bytes image;
  EXPECT_EQ(Decode(kSealed.table, kSealed.payload, &kSeal, &image), "decoded");
  EXPECT_EQ(image, kImage);
}

TEST(SealedPayload, ShowsNothingOfThePlainPayload) {
  for (const Segment& segment : kPacked.table.segments()) {
    if (segment.data_length < 32) continue;
    const std::string_view piece = AsText(kPacked.payload).substr(segment.data_offset + 8, 16);
    EXPECT_EQ(AsText(kSealed.payload).find(piece), std::string_view::npos);
  }
}

TEST(SealedPayload, IsTheSameWhenMadeTwice) {
  const PackedImage again = SealPacked(kPacked, SealOf(1));
  EXPECT_EQ(again.payload, kSealed.payload);
  EXPECT_EQ(again.table, kSealed.table);
}

TEST(SealedPayload, NeedsItsKey) {
  EXPECT_EQ(Decode(kSealed.table, kSealed.payload, nullptr), "payload.no-key");
  EXPECT_EQ(Decode(kSealed.table, kSealed.payload, &kOther), "payload.sealed-data");
}

TEST(SealedPayload, IsVerifiedBeforeItIsOpened) {
  Bytes payload = kSealed.payload;
  payload[30] ^= 1;
  EXPECT_EQ(Decode(kSealed.table, payload, &kSeal), "payload.data-digest");
}

TEST(SealedPayload, RefusesEveryFlippedBitAlsoWhereTheTableWasSignedAnew) {
  const Segment& segment = kSealed.table.segments()[8];
  const Bytes box = BoxOf(8);
  ASSERT_EQ(Open(segment, box), "opened");
  for (size_t bit = 0; bit < box.size() * 8; ++bit) {
    Bytes bad = box;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_EQ(Open(segment, bad), "payload.sealed-data") << bit;
  }
  Bytes payload = kSealed.payload;
  payload[30] ^= 1;
  EXPECT_EQ(Decode(Resigned(kSealed.table.segments(), payload), payload, &kSeal),
            "payload.sealed-data");
}

TEST(SealedPayload, RefusesTruncationAtEveryByte) {
  const Bytes box = BoxOf(8);
  for (size_t size = 1; size < box.size(); ++size)
    EXPECT_EQ(Open(kSealed.table.segments()[8],
                   Bytes(box.begin(), box.begin() + static_cast<ptrdiff_t>(size))),
              "payload.sealed-data")
        << size;
}

TEST(SealedPayload, RefusesExchangedSegments) {
  std::vector<Segment> segments = kSealed.table.segments();
  ASSERT_NE(segments[0].data_length, 0u);
  ASSERT_NE(segments[1].data_length, 0u);
  EXPECT_EQ(Open(segments[0], BoxOf(1)), "payload.sealed-data");
  EXPECT_EQ(Open(segments[1], BoxOf(0)), "payload.sealed-data");
}

TEST(SealedPayload, BindsRangeDigestCodecSourceAndKind) {
  const Segment& segment = kSealed.table.segments()[0];
  const Bytes box = BoxOf(0);
  const auto with = [&](const std::function<void(Segment&)>& change) {
    Segment changed = segment;
    change(changed);
    return Open(changed, box);
  };
  EXPECT_EQ(with([](Segment&) {}), "opened");
  EXPECT_EQ(with([](Segment& s) { s.offset += kPiece; }), "payload.sealed-data");
  EXPECT_EQ(with([](Segment& s) { --s.length; }), "payload.sealed-data");
  EXPECT_EQ(with([](Segment& s) { s.sha256 = s.data_sha256; }), "payload.sealed-data");
  EXPECT_EQ(with([](Segment& s) { s.codec = CodecId::kPatch; }), "payload.sealed-data");
  EXPECT_EQ(with([](Segment& s) { s.source = SegmentSource{{}, s.sha256}; }),
            "payload.sealed-data");
  const SourceImage old{kImage.size(), pki::Sha256(kImage)};
  const SegmentTable delta =
      *SegmentTable::Make(kSealed.table.image_length(), kSealed.table.image_sha256(), kPiece,
                          kSealed.table.segments(), old, PayloadForm::kSealed);
  EXPECT_EQ(Decode(delta, kSealed.payload, &kSeal), "payload.sealed-data") << "another payload's";
}

TEST(SealedPayload, LeavesSegmentsWithoutDataEmpty) {
  const auto zero = std::ranges::find(kSealed.table.segments(), CodecId::kZero, &Segment::codec);
  ASSERT_NE(zero, kSealed.table.segments().end());
  EXPECT_EQ(zero->data_length, 0u);
}

TEST(SealedPayload, CountsItsOverheadInTheLimits) {
  std::vector<Segment> segments = kSealed.table.segments();
  const auto rule = [&](uint64_t length, PayloadForm form) {
    std::vector<Segment> changed = {segments[0]};
    changed[0].data_length = length;
    const auto made =
        SegmentTable::Make(kPiece, kSealed.table.image_sha256(), kPiece, changed, {}, form);
    return made ? "made" : made.error().rule;
  };
  EXPECT_EQ(rule(kSealOverhead, PayloadForm::kSealed), "payload.data-size") << "nothing inside";
  EXPECT_EQ(rule(EncodedSizeMax(kPiece) + kSealOverhead, PayloadForm::kSealed), "made");
  EXPECT_EQ(rule(EncodedSizeMax(kPiece) + kSealOverhead + 1, PayloadForm::kSealed),
            "payload.data-size");
  EXPECT_EQ(rule(EncodedSizeMax(kPiece) + 1, PayloadForm::kPlain), "payload.data-size");
}

TEST(SealedTable, SaysWhichSchemeAndRefusesAnother) {
  const std::string json = kSealed.table.ToJson();
  const auto parsed = SegmentTable::Parse(AsBytes(json));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, kSealed.table);
  EXPECT_EQ(parsed->form(), PayloadForm::kSealed);
  std::string other = json;
  other.replace(other.find("poly1305/v1"), 11, "poly1305/v2");
  EXPECT_EQ(SegmentTable::Parse(AsBytes(other)).error().rule, "payload.seal-scheme");
  EXPECT_EQ(CheckForm(PayloadForm::kPlain, &kSeal).error().rule, "payload.not-sealed");
  EXPECT_EQ(CheckForm(PayloadForm::kSealed, nullptr).error().rule, "payload.sealed");
}

class SealedIndex : public ::testing::Test {
 protected:
  static std::string_view Rule(Bytes file, const pki::ContentSeal* seal) {
    const auto opened = OpenIndex(std::move(file), seal);
    return opened ? "opened" : opened.error().rule;
  }
  const Bytes plain_ = ToBytes(kPacked.table.ToJson());
  const Bytes file_ = SealIndex(plain_, kSeal);
};

TEST_F(SealedIndex, OpensUnderItsKeyAndShowsNoDigest) {
  EXPECT_EQ(*OpenIndex(file_, &kSeal), plain_);
  EXPECT_EQ(*OpenIndex(plain_, nullptr), plain_);
  EXPECT_EQ(AsText(file_).find("sha256"), std::string_view::npos);
}

TEST_F(SealedIndex, RefusesWhatTheReleaseDoesNotSay) {
  EXPECT_EQ(Rule(plain_, &kSeal), "payload.not-sealed");
  EXPECT_EQ(Rule(file_, nullptr), "payload.sealed");
  EXPECT_EQ(Rule(file_, &kOther), "payload.sealed-data");
}

TEST_F(SealedIndex, RefusesEveryFlippedBitAndTruncation) {
  const Bytes small = SealIndex(AsBytes("{}"), kSeal);
  for (size_t bit = 0; bit < small.size() * 8; ++bit) {
    Bytes bad = small;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_NE(Rule(bad, &kSeal), "opened") << bit;
  }
  for (size_t size = 0; size < small.size(); ++size)
    EXPECT_NE(Rule(Bytes(small.begin(), small.begin() + static_cast<ptrdiff_t>(size)), &kSeal),
              "opened")
        << size;
  Bytes later = small;
  later[4] = 2;
  EXPECT_EQ(Rule(later, &kSeal), "payload.seal-version");
}

class SealedChunks : public ::testing::Test {
 protected:
  SealedChunks() {
    const auto image = *files_.Open("image", OpenMode::kCreate);
    const auto plain = *files_.Open("plain", OpenMode::kCreate);
    const auto out = *files_.Open("out", OpenMode::kCreate);
    SP_CHECK(image->WriteAt(0, Noise(600'000, 9)).has_value());
    const ChunkTable packed = *PackChunks(*image, *plain, {});
    table_ = *SealChunks(packed, *plain, *out, kSeal);
    payload_ = *ReadFile(files_, "out", 1 << 20);
  }
  std::string_view Open(size_t which, size_t box, uint64_t offset,
                        const pki::ContentSeal* seal = &kSeal) {
    uint64_t at = 0;
    for (size_t i = 0; i < box; ++i) at += table_->chunks()[i].data_length;
    Bytes data = ToBytes(ByteView(payload_).subspan(at, table_->chunks()[box].data_length));
    const auto opened = OpenChunk(*table_, table_->chunks()[which], offset, data, seal);
    return opened ? "opened" : opened.error().rule;
  }
  MemoryFileSystem files_;
  std::optional<ChunkTable> table_;
  Bytes payload_;
};

TEST_F(SealedChunks, OpenOnlyInTheirPlace) {
  ASSERT_GE(table_->chunks().size(), 2u);
  EXPECT_EQ(Open(0, 0, 0), "opened");
  EXPECT_EQ(Open(1, 1, table_->chunks()[0].length), "opened");
  EXPECT_EQ(Open(1, 1, 0), "payload.sealed-data");
  EXPECT_EQ(Open(0, 1, 0), "payload.sealed-data");
  EXPECT_EQ(Open(0, 0, 0, &kOther), "payload.sealed-data");
  EXPECT_EQ(Open(0, 0, 0, nullptr), "payload.no-key");
}

TEST_F(SealedChunks, SayTheirFormInTheTable) {
  const auto parsed = ChunkTable::Parse(table_->Encode());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->form(), PayloadForm::kSealed);
  EXPECT_EQ(parsed->payload_length(), payload_.size());
  Bytes unknown = table_->Encode();
  unknown[6] = 2;
  EXPECT_EQ(ChunkTable::Parse(unknown).error().rule, "chunks.format");
}

}  // namespace
}  // namespace sallyport::ota
