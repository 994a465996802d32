// How one segment is encoded. A codec sees whole segments, so that memory is bounded by the segment
// size and each segment stands alone: resumable, and free to use the codec that suits it.
#pragma once

#include <memory>
#include <span>

#include "ota/payload/segment_table.h"
#include "pki/base/bytes.h"

namespace sallyport::ota {

// SegmentCodec is used by one thread at a time.
class SegmentCodec {
 public:
  virtual ~SegmentCodec() = default;
  // Decode fills exactly `out` or fails: kMalformed with payload.zstd-frame (not one frame of that
  // size with a window of its content), payload.zstd-data (corrupt), payload.zero-data (data where
  // none belongs).
  virtual Result<Unit> Decode(ByteView data, std::span<uint8_t> out) = 0;
  // Encode is deterministic for one version of the compressor. kUnsupported when the codec cannot
  // express `segment`.
  virtual Result<Bytes> Encode(ByteView segment) = 0;
};

// MakeZstdCodec makes a codec that encodes at `level` (1 to 19); decoding ignores the level.
std::unique_ptr<SegmentCodec> MakeZstdCodec(int level);
std::unique_ptr<SegmentCodec> MakeZeroCodec();

}  // namespace sallyport::ota
