#include "ota/payload/segment_table.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "pki/base/json.h"
#include "pki/crypto/content_seal.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kFormat = "segments/v2";
constexpr size_t kIndexDepthMax = 4;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr CodecId kCodecs[] = {CodecId::kZstd, CodecId::kZero, CodecId::kCopy, CodecId::kZstdRef,
                               CodecId::kPatch};
constexpr size_t kDigestHexSize = 2 * Sha256Digest::kSize;

Error Refuse(std::string_view rule, std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), rule};
}

Result<Unit> CheckSegmentSize(uint64_t size) {
  if (size < kSegmentSizeMin || size > kSegmentSizeMax || size % kSegmentSizeMin != 0)
    return Refuse("payload.segment-size", std::to_string(size) + " bytes per segment");
  return Unit{};
}

uint64_t SourceSize(const Segment& segment) { return segment.source ? segment.source->Size() : 0; }

Result<Unit> CheckNoData(const Segment& segment, std::string_view rule) {
  if (segment.data_length != 0) return Refuse(rule, "a segment of this codec has no data");
  return Unit{};
}

// OpenedLength is how much of the data a codec sees.
uint64_t OpenedLength(const Segment& segment, PayloadForm form) {
  return segment.data_length - (form == PayloadForm::kSealed
                                    ? std::min(segment.data_length, kSealOverhead)
                                    : uint64_t{0});
}

Result<Unit> CheckData(const Segment& segment, PayloadForm form) {
  if (segment.codec == CodecId::kZero) return CheckNoData(segment, "payload.zero-data");
  if (segment.codec == CodecId::kCopy) return CheckNoData(segment, "payload.copy-data");
  const uint64_t opened = OpenedLength(segment, form);
  if (opened == 0 || opened > EncodedSizeMax(segment.length))
    return Refuse("payload.data-size", std::to_string(segment.data_length) + " bytes of data");
  if (segment.codec == CodecId::kZstd && segment.length / kExpansionMax > opened)
    return Refuse("payload.expansion", "a segment expands more than zstd can");
  return Unit{};
}

// Ranges in order without overlap cannot add up to more than the image, whatever the numbers are.
Result<Unit> CheckRanges(const std::vector<SourceRange>& ranges, uint64_t blocks) {
  uint64_t next = 0;
  for (const SourceRange& range : ranges) {
    const bool fits = range.count > 0 && range.block >= next && range.block <= blocks &&
                      range.count <= blocks - range.block;
    if (!fits)
      return Refuse("payload.source-range", "the range at block " + std::to_string(range.block));
    next = range.block + range.count;
  }
  return Unit{};
}

Result<Unit> CheckSource(const Segment& segment, const std::optional<SourceImage>& source,
                         PayloadForm form) {
  if (ReadsSource(segment.codec) != segment.source.has_value() ||
      (segment.source && (!source || segment.source->ranges.empty())))
    return Refuse("payload.source", "codec and source do not belong together");
  if (!segment.source) return Unit{};
  SP_TRY(CheckRanges(segment.source->ranges, source->length / kSourceBlock));
  const uint64_t size = SourceSize(segment);
  const bool copies = segment.codec == CodecId::kCopy;
  if (size > kSegmentInputMax - std::min(OpenedLength(segment, form), kSegmentInputMax) ||
      (copies && (size < segment.length || size - segment.length >= kSourceBlock)))
    return Refuse("payload.source-size", std::to_string(size) + " bytes of source");
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
  for (const CodecId codec : kCodecs)
    if (name == CodecName(codec)) return codec;
  return object.Refuse("unknown codec", "payload.codec");
}

Result<uint64_t> TakeNumber(std::string_view& text) {
  uint64_t number = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end.ec != std::errc()) return Refuse("payload.source-text", "expected a number");
  text.remove_prefix(static_cast<size_t>(end.ptr - text.data()));
  return number;
}

Result<Unit> TakeSign(std::string_view& text, char sign) {
  if (!text.starts_with(sign)) return Refuse("payload.source-text", "expected a sign");
  text.remove_prefix(1);
  return Unit{};
}

// "12+3,40+1": blocks 12, 13, 14 and 40. Text, because a tree of numbers would take forty times its
// memory.
Result<std::vector<SourceRange>> ParseRanges(std::string_view text) {
  std::vector<SourceRange> ranges;
  while (true) {
    SP_TRY(const uint64_t block, TakeNumber(text));
    SP_TRY(TakeSign(text, '+'));
    SP_TRY(const uint64_t count, TakeNumber(text));
    ranges.push_back({block, count});
    if (text.empty()) return ranges;
    SP_TRY(TakeSign(text, ','));
  }
}

std::string RangesToText(const std::vector<SourceRange>& ranges) {
  std::string text;
  for (const SourceRange& range : ranges)
    text +=
        (text.empty() ? "" : ",") + std::to_string(range.block) + "+" + std::to_string(range.count);
  return text;
}

Result<std::optional<SegmentSource>> GetSource(const JsonCursor& json) {
  if (!json.Find("source") && !json.Find("source_sha256")) return std::optional<SegmentSource>();
  SP_TRY(const std::string_view text, json.GetString("source"));
  SP_TRY(std::vector<SourceRange> ranges, ParseRanges(text));
  SP_TRY(const Sha256Digest sha256, GetDigest(json, "source_sha256"));
  return std::optional(SegmentSource{std::move(ranges), sha256});
}

Result<Segment> ParseSegment(const JsonCursor& json) {
  SP_TRY(json.OnlyKeys({"offset", "length", "sha256", "data_offset", "data_length", "data_sha256",
                        "codec", "source", "source_sha256"}));
  SP_TRY(const uint64_t offset, GetNumber(json, "offset"));
  SP_TRY(const uint64_t length, GetNumber(json, "length"));
  SP_TRY(const Sha256Digest sha256, GetDigest(json, "sha256"));
  SP_TRY(const uint64_t data_offset, GetNumber(json, "data_offset"));
  SP_TRY(const uint64_t data_length, GetNumber(json, "data_length"));
  SP_TRY(const Sha256Digest data_sha256, GetDigest(json, "data_sha256"));
  SP_TRY(const CodecId codec, GetCodec(json));
  SP_TRY(auto source, GetSource(json));
  return Segment{offset,      length,      sha256, data_offset,
                 data_length, data_sha256, codec,  std::move(source)};
}

JsonValue SegmentToJson(const Segment& segment) {
  std::vector<JsonMember> members = {{"offset", segment.offset},
                                     {"length", segment.length},
                                     {"sha256", HexEncode(segment.sha256)},
                                     {"data_offset", segment.data_offset},
                                     {"data_length", segment.data_length},
                                     {"data_sha256", HexEncode(segment.data_sha256)},
                                     {"codec", CodecName(segment.codec)}};
  if (segment.source) {
    members.push_back({"source", RangesToText(segment.source->ranges)});
    members.push_back({"source_sha256", HexEncode(segment.source->sha256)});
  }
  return JsonValue::Object(std::move(members));
}

Result<std::optional<SourceImage>> GetSourceImage(const JsonCursor& index) {
  if (!index.Find("source_length") && !index.Find("source_sha256"))
    return std::optional<SourceImage>();
  SP_TRY(const uint64_t length, GetNumber(index, "source_length"));
  SP_TRY(const Sha256Digest sha256, GetDigest(index, "source_sha256"));
  return std::optional(SourceImage{length, sha256});
}

Result<PayloadForm> GetForm(const JsonCursor& index) {
  if (!index.Find("sealed")) return PayloadForm::kPlain;
  SP_TRY(const std::string_view scheme, index.GetString("sealed"));
  if (scheme != pki::kContentSealScheme)
    return Error{Reason::kUnsupported, "scheme " + std::string(scheme), "payload.seal-scheme"};
  return PayloadForm::kSealed;
}

Result<std::vector<Segment>> GetSegments(const JsonCursor& index) {
  SP_TRY(const JsonCursor list, index.Member("segments"));
  const auto* elements = list.value().if_array();
  if (elements == nullptr) return list.Refuse("expected an array");
  if (elements->size() > kSegmentsMax)
    return list.Refuse("too many segments", "payload.segment-count");
  std::vector<Segment> segments;
  segments.reserve(elements->size());
  for (const JsonValue& element : *elements) {
    SP_TRY(Segment segment, ParseSegment(JsonCursor(
                                element, "$.segments[" + std::to_string(segments.size()) + "]")));
    segments.push_back(std::move(segment));
  }
  return segments;
}

}  // namespace

std::string_view CodecName(CodecId codec) {
  switch (codec) {
    case CodecId::kZstd: return "zstd";
    case CodecId::kZero: return "zero";
    case CodecId::kCopy: return "copy";
    case CodecId::kZstdRef: return "zstd-ref";
    case CodecId::kPatch: return "patch";
  }
  std::abort();
}

bool ReadsSource(CodecId codec) {
  return codec == CodecId::kCopy || codec == CodecId::kZstdRef || codec == CodecId::kPatch;
}

uint64_t SegmentSource::Size() const {
  uint64_t blocks = 0;
  for (const SourceRange& range : ranges) blocks += range.count;
  return blocks * kSourceBlock;
}

Result<SegmentTable> SegmentTable::Make(uint64_t image_length, const Sha256Digest& image_sha256,
                                        uint64_t segment_size, std::vector<Segment> segments,
                                        std::optional<SourceImage> source, PayloadForm form) {
  SP_TRY(CheckSegmentSize(segment_size));
  const uint64_t count = image_length / segment_size + (image_length % segment_size == 0 ? 0 : 1);
  if (count == 0 || count > kSegmentsMax || segments.size() != count)
    return Refuse("payload.segment-count", std::to_string(segments.size()) + " segments");
  SegmentTable table(image_length, image_sha256);
  uint64_t offset = 0;
  size_t ranges = 0;
  for (const Segment& segment : segments) {
    const bool in_order = segment.offset == offset &&
                          segment.length == std::min(segment_size, image_length - offset) &&
                          segment.data_offset == table.payload_length_;
    if (!in_order)
      return Refuse("payload.segment-order", "the segment at " + std::to_string(offset));
    SP_TRY(CheckData(segment, form));
    SP_TRY(CheckSource(segment, source, form));
    offset += segment.length;
    table.payload_length_ += segment.data_length;
    ranges += segment.source ? segment.source->ranges.size() : 0;
  }
  if (ranges > kSourceRangesMax)
    return Refuse("payload.source-count", std::to_string(ranges) + " source ranges");
  table.segment_size_ = segment_size;
  table.segments_ = std::move(segments);
  table.source_ = source;
  table.form_ = form;
  return table;
}

Result<SegmentTable> SegmentTable::Parse(ByteView json) {
  SP_TRY(const JsonValue tree,
         ParseJson(AsText(json), {.size_max = kIndexSizeMax, .depth_max = kIndexDepthMax}));
  const JsonCursor index(tree);
  SP_TRY(const std::string_view format, index.GetString("sallyport"));
  if (format != kFormat)
    return Error{Reason::kUnsupported, "format " + std::string(format), "payload.index-format"};
  SP_TRY(index.OnlyKeys({"sallyport", "image_length", "image_sha256", "segment_size", "segments",
                         "source_length", "source_sha256", "sealed"}));
  SP_TRY(const uint64_t image_length, GetNumber(index, "image_length"));
  SP_TRY(const Sha256Digest image_sha256, GetDigest(index, "image_sha256"));
  SP_TRY(const uint64_t segment_size, GetNumber(index, "segment_size"));
  SP_TRY(const auto source, GetSourceImage(index));
  SP_TRY(const PayloadForm form, GetForm(index));
  SP_TRY(std::vector<Segment> segments, GetSegments(index));
  return Make(image_length, image_sha256, segment_size, std::move(segments), source, form);
}

std::string SegmentTable::ToJson() const {
  std::vector<JsonValue> list;
  list.reserve(segments_.size());
  for (const Segment& segment : segments_) list.push_back(SegmentToJson(segment));
  std::vector<JsonMember> members = {{"sallyport", kFormat},
                                     {"image_length", image_length_},
                                     {"image_sha256", HexEncode(image_sha256_)},
                                     {"segment_size", segment_size_},
                                     {"segments", JsonValue::Array(std::move(list))}};
  if (source_) {
    members.push_back({"source_length", source_->length});
    members.push_back({"source_sha256", HexEncode(source_->sha256)});
  }
  if (form_ == PayloadForm::kSealed) members.push_back({"sealed", pki::kContentSealScheme});
  return WriteJson(JsonValue::Object(std::move(members)));
}

}  // namespace sallyport::ota
