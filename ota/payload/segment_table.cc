#include "ota/payload/segment_table.h"

#include <algorithm>
#include <limits>

#include "pki/base/json.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kFormat = "segments/v1";
constexpr size_t kIndexDepthMax = 4;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr size_t kDigestHexSize = 2 * Sha256Digest::kSize;

Error Refuse(std::string_view rule, std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), rule};
}

Result<Unit> CheckSegmentSize(uint64_t size) {
  if (size < kSegmentSizeMin || size > kSegmentSizeMax || size % kSegmentSizeMin != 0)
    return Refuse("payload.segment-size", std::to_string(size) + " bytes per segment");
  return Unit{};
}

Result<Unit> CheckData(const Segment& segment) {
  if (segment.codec == CodecId::kZero) {
    if (segment.data_length != 0) return Refuse("payload.zero-data", "a zero segment has data");
    return Unit{};
  }
  if (segment.data_length == 0 || segment.data_length > EncodedSizeMax(segment.length))
    return Refuse("payload.data-size", std::to_string(segment.data_length) + " bytes of data");
  if (segment.length / kExpansionMax > segment.data_length)
    return Refuse("payload.expansion", "a segment expands more than zstd can");
  return Unit{};
}

Result<Sha256Digest> GetDigest(const JsonCursor& object, std::string_view key) {
  SP_TRY(const std::string_view text, object.GetString(key));
  if (text.size() != kDigestHexSize)
    return object.Refuse(std::string(key) + " is no SHA-256", "payload.index-digest");
  const auto bytes = HexDecode(text);
  if (!bytes) return object.Refuse(std::string(key) + " is not hex", "payload.index-digest");
  return Sha256Digest::FromView(*bytes);
}

Result<uint64_t> GetNumber(const JsonCursor& object, std::string_view key) {
  SP_TRY(const int64_t number, object.GetInteger(key, 0, kMax));
  return static_cast<uint64_t>(number);
}

Result<CodecId> GetCodec(const JsonCursor& object) {
  SP_TRY(const std::string_view name, object.GetString("codec"));
  for (const CodecId codec : {CodecId::kZstd, CodecId::kZero})
    if (name == CodecName(codec)) return codec;
  return object.Refuse("unknown codec", "payload.codec");
}

Result<Segment> ParseSegment(const JsonCursor& json) {
  SP_TRY(json.OnlyKeys(
      {"offset", "length", "sha256", "data_offset", "data_length", "data_sha256", "codec"}));
  SP_TRY(const uint64_t offset, GetNumber(json, "offset"));
  SP_TRY(const uint64_t length, GetNumber(json, "length"));
  SP_TRY(const Sha256Digest sha256, GetDigest(json, "sha256"));
  SP_TRY(const uint64_t data_offset, GetNumber(json, "data_offset"));
  SP_TRY(const uint64_t data_length, GetNumber(json, "data_length"));
  SP_TRY(const Sha256Digest data_sha256, GetDigest(json, "data_sha256"));
  SP_TRY(const CodecId codec, GetCodec(json));
  return Segment{offset, length, sha256, data_offset, data_length, data_sha256, codec};
}

JsonValue SegmentToJson(const Segment& segment) {
  return JsonValue::Object({{"offset", segment.offset},
                            {"length", segment.length},
                            {"sha256", HexEncode(segment.sha256)},
                            {"data_offset", segment.data_offset},
                            {"data_length", segment.data_length},
                            {"data_sha256", HexEncode(segment.data_sha256)},
                            {"codec", CodecName(segment.codec)}});
}

}  // namespace

std::string_view CodecName(CodecId codec) {
  switch (codec) {
    case CodecId::kZstd: return "zstd";
    case CodecId::kZero: return "zero";
  }
  std::abort();
}

Result<SegmentTable> SegmentTable::Make(uint64_t image_length, const Sha256Digest& image_sha256,
                                        uint64_t segment_size, std::vector<Segment> segments) {
  SP_TRY(CheckSegmentSize(segment_size));
  const uint64_t count = image_length / segment_size + (image_length % segment_size == 0 ? 0 : 1);
  if (count == 0 || count > kSegmentsMax || segments.size() != count)
    return Refuse("payload.segment-count", std::to_string(segments.size()) + " segments");
  SegmentTable table(image_length, image_sha256);
  uint64_t offset = 0;
  for (const Segment& segment : segments) {
    const bool in_order = segment.offset == offset &&
                          segment.length == std::min(segment_size, image_length - offset) &&
                          segment.data_offset == table.payload_length_;
    if (!in_order)
      return Refuse("payload.segment-order", "the segment at " + std::to_string(offset));
    SP_TRY(CheckData(segment));
    offset += segment.length;
    table.payload_length_ += segment.data_length;
  }
  table.segment_size_ = segment_size;
  table.segments_ = std::move(segments);
  return table;
}

Result<SegmentTable> SegmentTable::Parse(ByteView json) {
  SP_TRY(const JsonValue tree,
         ParseJson(AsText(json), {.size_max = kIndexSizeMax, .depth_max = kIndexDepthMax}));
  const JsonCursor index(tree);
  SP_TRY(const std::string_view format, index.GetString("sallyport"));
  if (format != kFormat)
    return Error{Reason::kUnsupported, "format " + std::string(format), "payload.index-format"};
  SP_TRY(index.OnlyKeys({"sallyport", "image_length", "image_sha256", "segment_size", "segments"}));
  SP_TRY(const uint64_t image_length, GetNumber(index, "image_length"));
  SP_TRY(const Sha256Digest image_sha256, GetDigest(index, "image_sha256"));
  SP_TRY(const uint64_t segment_size, GetNumber(index, "segment_size"));
  SP_TRY(const JsonCursor list, index.Member("segments"));
  const auto* elements = list.value().if_array();
  if (elements == nullptr) return list.Refuse("expected an array");
  if (elements->size() > kSegmentsMax)
    return list.Refuse("too many segments", "payload.segment-count");
  std::vector<Segment> segments;
  segments.reserve(elements->size());
  for (const JsonValue& element : *elements) {
    SP_TRY(
        const Segment segment,
        ParseSegment(JsonCursor(element, "$.segments[" + std::to_string(segments.size()) + "]")));
    segments.push_back(segment);
  }
  return Make(image_length, image_sha256, segment_size, std::move(segments));
}

std::string SegmentTable::ToJson() const {
  std::vector<JsonValue> list;
  list.reserve(segments_.size());
  for (const Segment& segment : segments_) list.push_back(SegmentToJson(segment));
  return WriteJson(JsonValue::Object({{"sallyport", kFormat},
                                      {"image_length", image_length_},
                                      {"image_sha256", HexEncode(image_sha256_)},
                                      {"segment_size", segment_size_},
                                      {"segments", JsonValue::Array(std::move(list))}}));
}

}  // namespace sallyport::ota
