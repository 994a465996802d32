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

// A table whose first segment reads the old image.
class SourceTableTest : public ::testing::Test {
 protected:
  SourceTableTest() {
    segments_[0].codec = CodecId::kPatch;
    segments_[0].source = SegmentSource{{{0, 2}, {7, 1}}, pki::Sha256(AsBytes("source"))};
  }
  Result<SegmentTable> Make() {
    return SegmentTable::Make(kPacked.table.image_length(), kPacked.table.image_sha256(), kPiece,
                              segments_, source_);
  }
  std::string_view Rule() {
    const auto made = Make();
    return made ? "accepted" : made.error().rule;
  }
  std::string_view RuleWithRanges(std::vector<SourceRange> ranges) {
    segments_[0].source->ranges = std::move(ranges);
    return Rule();
  }

  std::vector<Segment> segments_ = kPacked.table.segments();
  std::optional<SourceImage> source_ =
      SourceImage{10 * kSourceBlock + 5, pki::Sha256(AsBytes("old"))};
};

TEST_F(SourceTableTest, SurvivesARoundTrip) {
  const auto made = Make();
  ASSERT_TRUE(made);
  const auto parsed = SegmentTable::Parse(AsBytes(made->ToJson()));
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_EQ(*parsed, *made);
  EXPECT_EQ(parsed->source()->length, 10 * kSourceBlock + 5);
}

TEST_F(SourceTableTest, RefusesRangesOutOfOrderOverlappingEmptyOrBeyondTheOldImage) {
  EXPECT_EQ(RuleWithRanges({{0, 10}}), "accepted");
  EXPECT_EQ(RuleWithRanges({{0, 2}, {2, 1}}), "accepted");
  for (const std::vector<SourceRange>& ranges : {std::vector<SourceRange>{{7, 1}, {0, 2}},
                                                 {{0, 2}, {1, 2}},
                                                 {{3, 0}},
                                                 {{0, 11}},
                                                 {{10, 1}},
                                                 {{UINT64_MAX, 1}},
                                                 {{1, UINT64_MAX}},
                                                 {{5, 1}, {5, 1}}})
    EXPECT_EQ(RuleWithRanges(ranges), "payload.source-range");
}

TEST_F(SourceTableTest, RefusesACodecWithoutItsSourceAndASourceWithoutItsCodec) {
  EXPECT_EQ(RuleWithRanges({}), "payload.source");
  segments_[0].source.reset();
  for (const CodecId codec : {CodecId::kPatch, CodecId::kZstdRef}) {
    segments_[0].codec = codec;
    EXPECT_EQ(Rule(), "payload.source");
  }
  segments_[0].codec = CodecId::kZstd;
  EXPECT_EQ(Rule(), "accepted");
  segments_[0].source = SegmentSource{{{0, 1}}, pki::Sha256(AsBytes("x"))};
  EXPECT_EQ(Rule(), "payload.source");
}

TEST_F(SourceTableTest, RefusesASourceOfNoImage) {
  source_.reset();
  EXPECT_EQ(Rule(), "payload.source");
}

TEST_F(SourceTableTest, RefusesMoreThanADeviceHolds) {
  source_->length = uint64_t{1} << 40;
  const uint64_t room = (kSegmentInputMax - segments_[0].data_length) / kSourceBlock;
  EXPECT_EQ(RuleWithRanges({{0, room}}), "accepted");
  EXPECT_EQ(RuleWithRanges({{0, room + 1}}), "payload.source-size");
  EXPECT_EQ(RuleWithRanges({{0, uint64_t{1} << 27}}), "payload.source-size");
}

TEST_F(SourceTableTest, RefusesACopyThatIsNotItsSource) {
  segments_.pop_back();
  const auto rule = [&](uint64_t blocks, uint64_t data) {
    std::vector<Segment> segments = segments_;
    segments.back().codec = CodecId::kCopy;
    segments.back().data_length = data;
    segments.back().source = SegmentSource{{{0, blocks}}, pki::Sha256(AsBytes("x"))};
    const auto made = SegmentTable::Make(segments.size() * kPiece, kPacked.table.image_sha256(),
                                         kPiece, segments, source_);
    return made ? "accepted" : made.error().rule;
  };
  EXPECT_EQ(rule(1, 0), "accepted");
  EXPECT_EQ(rule(2, 0), "payload.source-size");
  EXPECT_EQ(rule(1, 1), "payload.copy-data");
}

TEST_F(SourceTableTest, RefusesMoreRangesThanTheLimit) {
  source_->length = uint64_t{1} << 40;
  // Every second block, spread over as many segments as it takes.
  std::vector<Segment> segments;
  const std::vector<SourceRange> ranges = [] {
    std::vector<SourceRange> out;
    for (uint64_t i = 0; i < 4000; ++i) out.push_back({2 * i, 1});
    return out;
  }();
  const Sha256Digest digest = pki::Sha256(AsBytes("x"));
  for (uint64_t i = 0; i * ranges.size() <= kSourceRangesMax; ++i)
    segments.push_back(
        {i * kPiece, kPiece, digest, i, 1, digest, CodecId::kPatch, SegmentSource{ranges, digest}});
  const auto rule = [&] {
    const auto made =
        SegmentTable::Make(segments.size() * kPiece, digest, kPiece, segments, source_);
    return made ? "accepted" : made.error().rule;
  };
  EXPECT_EQ(rule(), "payload.source-count");
  segments.pop_back();
  EXPECT_EQ(rule(), "accepted");
}

TEST_F(SourceTableTest, ParsesNoOtherTextThanRanges) {
  const std::string text = Make()->ToJson();
  const auto with = [&](const std::string& ranges) {
    std::string changed = text;
    const std::string good = "\"0+2,7+1\"";
    changed.replace(changed.find(good), good.size(), "\"" + ranges + "\"");
    return RuleOfText(changed);
  };
  EXPECT_EQ(with("0+2,7+1"), "accepted");
  for (const char* bad : {"", ",", "0", "0+", "+2", "0+2,", "0+2;7+1", "0+2 ", " 0+2", "-1+2",
                          "0x1+2", "0+99999999999999999999"})
    EXPECT_EQ(with(bad), "payload.source-text") << bad;
}

TEST_F(SourceTableTest, RefusesHalfOfASource) {
  const std::string text = Make()->ToJson();
  const std::string digest = HexEncode(segments_[0].source->sha256);
  for (const std::string& member :
       {"\"source\":\"0+2,7+1\"," + std::string(), ",\"source_sha256\":\"" + digest + "\"",
        "\"source_length\":40965," + std::string()}) {
    std::string changed = text;
    const size_t at = changed.find(member);
    ASSERT_NE(at, std::string::npos) << member;
    EXPECT_EQ(RuleOfText(changed.erase(at, member.size())), "json.missing-key") << member;
  }
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
