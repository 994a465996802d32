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
  // size with a window of its content), payload.zstd-data (corrupt), payload.zero-data and
  // payload.copy-data (data where none belongs), payload.source-size (a copy of less than there is
  // to copy), the rules of DecodePatch.
  virtual Result<Unit> Decode(ByteView data, ByteView source, std::span<uint8_t> out) = 0;
  // Encode is deterministic for one version of the compressor. kUnsupported when the codec cannot
  // express `segment`.
  virtual Result<Bytes> Encode(ByteView segment, ByteView source) = 0;

  Result<Unit> Decode(ByteView data, std::span<uint8_t> out) { return Decode(data, {}, out); }
  Result<Bytes> Encode(ByteView segment) { return Encode(segment, {}); }
};

// MakeZstdCodec makes a codec that encodes at `level` (1 to 19); decoding ignores the level. A
// source, if any, is the dictionary.
std::unique_ptr<SegmentCodec> MakeZstdCodec(int level);
std::unique_ptr<SegmentCodec> MakeZeroCodec();

// CodecSet decodes segments of every codec. One thread at a time.
class CodecSet {
 public:
  CodecSet();
  Result<Unit> Decode(CodecId codec, ByteView data, ByteView source, std::span<uint8_t> out);

 private:
  std::unique_ptr<SegmentCodec> zstd_;
  std::unique_ptr<SegmentCodec> zero_;
};

}  // namespace sallyport::ota
