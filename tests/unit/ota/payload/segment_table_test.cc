#include "ota/payload/segment_table.h"

#include <functional>

#include "pki/crypto/hash.h"
#include "tests/fakes/payload_builder.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kPiece = 4096;
const PackedImage kPacked = PackForTest(TestImage(8 * kPiece + 1, 3), kPiece);

std::string_view RuleAfter(const std::function<void(std::vector<Segment>&)>& change) {
  std::vector<Segment> segments = kPacked.table.segments();
  change(segments);
  const auto made = SegmentTable::Make(kPacked.table.image_length(), kPacked.table.image_sha256(),
                                       kPiece, segments);
  return made ? "accepted" : made.error().rule;
}

std::string_view RuleOfText(const std::string& text) {
  const auto parsed = SegmentTable::Parse(AsBytes(text));
  return parsed ? "accepted" : parsed.error().rule;
}

std::string Replaced(const std::string& from, const std::string& to) {
  std::string text = kPacked.table.ToJson();
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(SegmentTable, SurvivesARoundTrip) {
  const auto parsed = SegmentTable::Parse(AsBytes(kPacked.table.ToJson()));

  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_EQ(*parsed, kPacked.table);
  EXPECT_EQ(parsed->ToJson(), kPacked.table.ToJson());
}

TEST(SegmentTable, RefusesGapsOverlapsAndAnotherOrder) {
  EXPECT_EQ(RuleAfter([](auto& s) { s[1].offset += kPiece; }), "payload.segment-order");
  EXPECT_EQ(RuleAfter([](auto& s) { s[1].offset -= 1; }), "payload.segment-order");
  EXPECT_EQ(RuleAfter([](auto& s) { s[1].length -= 1; }), "payload.segment-order");
  EXPECT_EQ(RuleAfter([](auto& s) { s[1].length += 1; }), "payload.segment-order");
  EXPECT_EQ(RuleAfter([](auto& s) { s[1].data_offset += 1; }), "payload.segment-order");
  EXPECT_EQ(RuleAfter([](auto& s) { std::swap(s[0], s[1]); }), "payload.segment-order");
  EXPECT_EQ(RuleAfter([](auto& s) { s.back().length = kPiece; }), "payload.segment-order");
}

TEST(SegmentTable, RefusesMissingAndSurplusSegments) {
  EXPECT_EQ(RuleAfter([](auto& s) { s.pop_back(); }), "payload.segment-count");
  EXPECT_EQ(RuleAfter([](auto& s) { s.push_back(s.back()); }), "payload.segment-count");
  EXPECT_EQ(RuleAfter([](auto& s) { s.clear(); }), "payload.segment-count");
}

TEST(SegmentTable, RefusesMoreSegmentsThanTheLimitWithoutListingThem) {
  const auto made =
      SegmentTable::Make((kSegmentsMax + 1) * kPiece, kPacked.table.image_sha256(), kPiece, {});
  EXPECT_EQ(made.error().rule, "payload.segment-count");
  EXPECT_EQ(SegmentTable::Make(0, kPacked.table.image_sha256(), kPiece, {}).error().rule,
            "payload.segment-count");
}

TEST(SegmentTable, SurvivesTheLargestNumbers) {
  EXPECT_EQ(SegmentTable::Make(UINT64_MAX, kPacked.table.image_sha256(), kPiece, {}).error().rule,
            "payload.segment-count");
}

TEST(SegmentTable, RefusesDataThatCannotBelongToTheSegment) {
  EXPECT_EQ(RuleAfter([](auto& s) { s[0].data_length = 0; }), "payload.data-size");
  EXPECT_EQ(RuleAfter([](auto& s) { s[0].data_length = EncodedSizeMax(kPiece) + 1; }),
            "payload.data-size");
  EXPECT_EQ(RuleAfter([](auto& s) { s[0].codec = CodecId::kZero; }), "payload.zero-data");
}

TEST(SegmentTable, RefusesAnExpansionThatZstdCannotReach) {
  const Sha256Digest digest = pki::Sha256(AsBytes("x"));
  const auto made = [&](uint64_t data_length) {
    return SegmentTable::Make(
        kSegmentSizeMax, digest, kSegmentSizeMax,
        {{0, kSegmentSizeMax, digest, 0, data_length, digest, CodecId::kZstd}});
  };
  EXPECT_TRUE(made(kSegmentSizeMax / kExpansionMax));
  EXPECT_EQ(made(kSegmentSizeMax / kExpansionMax - 1).error().rule, "payload.expansion");
}

TEST(SegmentTable, RefusesSegmentSizesOutsideTheLimits) {
  for (const uint64_t size :
       {uint64_t{0}, kSegmentSizeMin - 1, kSegmentSizeMin + 1, kSegmentSizeMax + kSegmentSizeMin})
    EXPECT_EQ(SegmentTable::Make(1, kPacked.table.image_sha256(), size, kPacked.table.segments())
                  .error()
                  .rule,
              "payload.segment-size")
        << size;
}

TEST(SegmentTableParse, RefusesAnotherFormatCodecOrDigest) {
  EXPECT_EQ(RuleOfText(Replaced("segments/v2", "segments/v1")), "payload.index-format");
  EXPECT_EQ(RuleOfText(Replaced("\"codec\":\"zstd\"", "\"codec\":\"xz\"")), "payload.codec");
  const std::string digest = HexEncode(kPacked.table.image_sha256());
  EXPECT_EQ(RuleOfText(Replaced(digest, digest.substr(2))), "payload.index-digest");
  EXPECT_EQ(RuleOfText(Replaced(digest, "g" + digest.substr(1))), "payload.index-digest");
}

TEST(SegmentTableParse, RefusesUnknownAndMissingKeysAndBadNumbers) {
  EXPECT_EQ(RuleOfText(Replaced("\"segment_size\"", "\"segment_sice\"")), "json.unknown-key");
  EXPECT_EQ(RuleOfText("{\"sallyport\":\"segments/v2\"}"), "json.missing-key");
  EXPECT_EQ(RuleOfText(Replaced("\"segment_size\":4096", "\"segment_size\":-4096")), "json.range");
  EXPECT_EQ(RuleOfText(Replaced("\"segment_size\":4096", "\"segment_size\":4096.5")),
            "json.number");
}

TEST(SegmentTableParse, RefusesEveryTruncation) {
  const std::string text = kPacked.table.ToJson();
  for (size_t size = 0; size < text.size(); ++size)
    EXPECT_NE(RuleOfText(text.substr(0, size)), "accepted") << size;
}

TEST(SegmentTableParse, RefusesATextAboveTheLimit) {
  EXPECT_EQ(RuleOfText(std::string(kIndexSizeMax + 1, ' ')), "json.size");
}

}  // namespace
}  // namespace sallyport::ota
