// StreamDecoder turns payload bytes, in pieces of any size, into verified segments. Nothing
// unverified leaves it: encoded data is hashed before the decompressor sees it, decoded bytes
// before the sink does.
#pragma once

#include <memory>

#include "ota/payload/codec.h"
#include "ota/payload/segment_table.h"

namespace sallyport::ota {

class SegmentSink {
 public:
  virtual ~SegmentSink() = default;
  // Write gets whole segments in order; `decoded` is borrowed for the call.
  virtual Result<Unit> Write(const Segment& segment, ByteView decoded) = 0;
};

// Memory of the decoder whatever the image: one encoded and one decoded segment, and zstd's tables.
inline constexpr uint64_t kDecoderMemoryMax = 24u << 20;
static_assert(EncodedSizeMax(kSegmentSizeMax) + kSegmentSizeMax + (1u << 20) <= kDecoderMemoryMax);

// One thread at a time. Borrows `table` and `sink`. After an error the decoder is spent.
class StreamDecoder {
 public:
  // Starts at segment `first` (resume); aborts when there is no such segment or end.
  StreamDecoder(const SegmentTable& table, size_t first, SegmentSink& sink);

  // payload_offset is where the next byte to feed lies in the payload.
  uint64_t payload_offset() const;
  // Feed: kMismatch with payload.data-digest or payload.segment-digest, kMalformed with the codecs'
  // rules or payload.trailing (bytes behind the last segment), errors of the sink.
  Result<Unit> Feed(ByteView payload);
  // Finish: kMalformed, payload.truncated, when segments are missing.
  Result<Unit> Finish();

 private:
  Result<Unit> CompleteReadySegments();
  Result<Unit> CompleteSegment(const Segment& segment);
  const Segment* current() const;

  const SegmentTable& table_;
  SegmentSink& sink_;
  size_t next_;
  Bytes data_;
  Bytes decoded_;
  std::unique_ptr<SegmentCodec> zstd_;
  std::unique_ptr<SegmentCodec> zero_;
};

}  // namespace sallyport::ota
