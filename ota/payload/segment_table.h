// The segment table: how an image was cut, where each piece lies in the payload, what it takes from
// the old image, and what all of them must hash to (docs/protocol.md, Release). A table of this
// type is contiguous, complete and within its limits. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pki/base/digest.h"

namespace sallyport::ota {

// One buffer of this size and one of kSegmentInputMax are what decoding costs; the agent has 64 MiB
// while installing.
inline constexpr uint64_t kSegmentSizeMax = 8u << 20;
// Flash and file systems write in pages of this size; smaller segments would only grow the table.
inline constexpr uint64_t kSegmentSizeMin = 4096;
// 64 GiB in segments of 4 MiB; the parsed table stays below 20 MiB.
inline constexpr size_t kSegmentsMax = 16384;
inline constexpr uint64_t kIndexSizeMax = 8u << 20;
// What a segment takes from the old image is counted in whole blocks of this size.
inline constexpr uint64_t kSourceBlock = 4096;
// Data and source of one segment together; both are held while it is decoded.
inline constexpr uint64_t kSegmentInputMax = 16u << 20;
// All ranges of a table: 4 MiB once parsed.
inline constexpr size_t kSourceRangesMax = 1u << 18;
// A zstd block of 128 KiB takes at least 4 bytes, so no honest frame expands further.
inline constexpr uint64_t kExpansionMax = 1u << 15;

// What sealing adds to the data of a segment (ota/payload/sealing.h).
inline constexpr uint64_t kSealOverhead = 40;

// EncodedSizeMax bounds one segment's data: zstd stores what it cannot compress, plus headers.
constexpr uint64_t EncodedSizeMax(uint64_t length) { return length + length / 256 + 1024; }

enum class CodecId : uint8_t {
  kZstd,     // one zstd frame of the whole segment
  kZero,     // no data; the segment is zeros
  kCopy,     // no data; the segment is its source
  kZstdRef,  // one zstd frame whose dictionary is the source
  kPatch,    // pieces of the source, corrected, and new bytes (ota/payload/patch.h)
};
std::string_view CodecName(CodecId codec);
// ReadsSource: such a segment can only be decoded where the old image is.
[[nodiscard]] bool ReadsSource(CodecId codec);

// PayloadForm says whether the data of a payload are readable or sealed under the release's content
// key.
enum class PayloadForm : uint8_t { kPlain, kSealed };

// SourceRange is a run of blocks of the old image.
struct SourceRange {
  uint64_t block;
  uint64_t count;
  bool operator==(const SourceRange&) const = default;
};

// SegmentSource is what a segment may read: the ranges one after the other, and their hash.
struct SegmentSource {
  std::vector<SourceRange> ranges;
  Sha256Digest sha256;
  uint64_t Size() const;
  bool operator==(const SegmentSource&) const = default;
};

// SourceImage is the image that a delta starts from.
struct SourceImage {
  uint64_t length;
  Sha256Digest sha256;
  bool operator==(const SourceImage&) const = default;
};

struct Segment {
  uint64_t offset;  // in the image
  uint64_t length;
  Sha256Digest sha256;   // of the decoded bytes
  uint64_t data_offset;  // in the payload
  uint64_t data_length;
  Sha256Digest data_sha256;
  CodecId codec;
  std::optional<SegmentSource> source = {};  // exactly when ReadsSource(codec)
  bool operator==(const Segment&) const = default;
};

class SegmentTable {
 public:
  // Make: kMalformed with payload.segment-size, payload.segment-count, payload.segment-order
  // (offsets, lengths or data not contiguous), payload.zero-data, payload.copy-data,
  // payload.data-size, payload.expansion, payload.source (a codec without its source, or a source
  // without such a codec), payload.source-range (empty, out of order, overlapping or beyond the old
  // image), payload.source-size (more than a device holds), payload.source-count.
  static Result<SegmentTable> Make(uint64_t image_length, const Sha256Digest& image_sha256,
                                   uint64_t segment_size, std::vector<Segment> segments,
                                   std::optional<SourceImage> source = {},
                                   PayloadForm form = PayloadForm::kPlain);
  // Parse reads the JSON index target: the rules of Make, of ParseJson and JsonCursor,
  // payload.index-format and payload.seal-scheme (kUnsupported), payload.codec,
  // payload.index-digest.
  static Result<SegmentTable> Parse(ByteView json);
  // ToJson is deterministic; Parse(ToJson()) is the same table.
  std::string ToJson() const;

  uint64_t image_length() const { return image_length_; }
  const Sha256Digest& image_sha256() const { return image_sha256_; }
  uint64_t segment_size() const { return segment_size_; }
  const std::vector<Segment>& segments() const { return segments_; }
  uint64_t payload_length() const { return payload_length_; }
  // source is what a delta needs; nullopt when the payload stands alone.
  const std::optional<SourceImage>& source() const { return source_; }
  // form says of what kind the data are that the segments describe.
  PayloadForm form() const { return form_; }
  bool operator==(const SegmentTable&) const = default;

 private:
  SegmentTable(uint64_t image_length, const Sha256Digest& image_sha256)
      : image_length_(image_length), image_sha256_(image_sha256) {}
  uint64_t image_length_;
  Sha256Digest image_sha256_;
  uint64_t segment_size_ = 0;
  std::vector<Segment> segments_;
  uint64_t payload_length_ = 0;
  std::optional<SourceImage> source_;
  PayloadForm form_ = PayloadForm::kPlain;
};

}  // namespace sallyport::ota
