// SegmentEncoder: one segment of a delta, in the codec that makes it smallest.
#pragma once

#include "ota/delta/difference.h"
#include "ota/payload/codec.h"
#include "ota/payload/segment_table.h"
#include "ota/payload/source_reader.h"

namespace sallyport::ota {

struct EncodedSegment {
  CodecId codec;
  Bytes data;
  std::optional<SegmentSource> source;
};

// One thread at a time. Borrows `old`.
class SegmentEncoder {
 public:
  explicit SegmentEncoder(SourceReader& old);
  // Encode writes `segment`, which `ops` describe. With `needs_data` the result is never empty.
  // Errors of `old`; kInternal when what was written does not decode to the segment.
  Result<EncodedSegment> Encode(ByteView segment, std::vector<OldOp> ops, bool needs_data);

 private:
  Result<EncodedSegment> Smallest(ByteView segment, const std::vector<OldOp>& ops,
                                  const std::vector<SourceRange>& ranges, bool needs_data);

  SourceReader& old_;
  std::unique_ptr<SegmentCodec> zstd_;
  CodecSet codecs_;
};

}  // namespace sallyport::ota
