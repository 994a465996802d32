// StreamDecoder turns payload bytes, in pieces of any size, into verified segments. Nothing
// unverified leaves it: encoded data and the old image's bytes are hashed before a codec sees them,
// decoded bytes before the sink does.
#pragma once

#include <memory>

#include "ota/payload/codec.h"
#include "ota/payload/sealing.h"
#include "ota/payload/segment_table.h"
#include "ota/payload/source_reader.h"

namespace sallyport::ota {

class SegmentSink {
 public:
  virtual ~SegmentSink() = default;
  // Write gets whole segments in order; `decoded` is borrowed for the call.
  virtual Result<Unit> Write(const Segment& segment, ByteView decoded) = 0;
};

// Memory of the decoder whatever the image: the input of a segment, the segment, and the tables of
// zstd or of a patch.
inline constexpr uint64_t kDecoderMemoryMax = 32u << 20;
static_assert(kSegmentInputMax + kSegmentSizeMax + (8u << 20) <= kDecoderMemoryMax);

// One thread at a time. Borrows `table`, `sink`, and `source` and `seal`, which may be null: then
// no segment that needs them can be decoded. After an error the decoder is spent.
class StreamDecoder {
 public:
  // Starts at segment `first` (resume) and ends before `end`, by default behind the last one;
  // aborts when there are no such segments. `seal` opens a sealed table.
  StreamDecoder(const SegmentTable& table, size_t first, SegmentSink& sink,
                SourceReader* source = nullptr, std::optional<size_t> end = {},
                const pki::ContentSeal* seal = nullptr);

  // next is the segment that is being filled; `end` at the end.
  size_t next() const { return next_; }
  // payload_offset is where the next byte to feed lies in the payload.
  uint64_t payload_offset() const;
  // Feed: kMismatch with payload.data-digest, payload.source-digest (the old image is not what it
  // was), payload.source-read (or cannot be read), payload.segment-digest or the rules of
  // OpenSegment, kMalformed with the
  // codecs' rules or payload.trailing (bytes behind the last segment), errors of the sink.
  Result<Unit> Feed(ByteView payload);
  // Finish: kMalformed, payload.truncated, when segments are missing.
  Result<Unit> Finish();

 private:
  Result<Unit> CompleteReadySegments();
  Result<Unit> CompleteSegment(const Segment& segment);
  Result<Unit> LoadSource(const Segment& segment);
  const Segment* current() const;

  const SegmentTable& table_;
  SegmentSink& sink_;
  SourceReader* const source_reader_;
  const pki::ContentSeal* const seal_;
  size_t next_;
  const size_t end_;
  Bytes data_;
  Bytes source_;
  Bytes decoded_;
  CodecSet codecs_;
};

}  // namespace sallyport::ota
