// ChunkWriter: an image by its chunks (ota/payload/chunk_table.h). What the running slot holds is
// copied from there, whatever image that is; the rest is fetched in few ranges. Every chunk is
// hashed, wherever it comes from.
#pragma once

#include <vector>

#include "ota/install/payload_source.h"
#include "ota/payload/chunk_table.h"
#include "ota/payload/codec.h"
#include "ota/payload/sealing.h"
#include "ota/payload/stream_decoder.h"

namespace sallyport::ota {

// What the running slot has between two missing chunks is fetched all the same when it is less
// than a request costs.
inline constexpr uint64_t kChunkGapMax = 64 * 1024;
// An old image may be larger than the new one; a slot may be much larger than both.
inline constexpr uint64_t kChunkScanFactor = 2;

// ChunkWriterParts are borrowed.
struct ChunkWriterParts {
  const ChunkTable& table;
  const RemoteFile& payload;
  PayloadSource& source;
  File& running;
  SegmentSink& slot;
  const pki::ContentSeal* seal = nullptr;  // of a sealed table
};

// One thread at a time.
class ChunkWriter {
 public:
  explicit ChunkWriter(ChunkWriterParts parts);
  // Scan reads the running slot and returns how much of the payload has to be fetched for what lies
  // behind `at`. Errors of reading.
  Result<uint64_t> Scan(uint64_t at);
  // Write writes the chunks from the one that holds `at` on, in order. kMismatch with
  // chunks.data-digest or chunks.digest; install.source-length; the rules of OpenChunk and of the
  // codec; errors of source and slot.
  Result<Unit> Write(uint64_t at);
  // written is where the image is complete up to.
  uint64_t written() const { return written_; }

 private:
  class RunSink;
  struct Place {
    uint64_t offset;       // in the image
    uint64_t data_offset;  // in the payload
    uint64_t found;        // in the running slot, or kNowhere
  };
  size_t ChunkAt(uint64_t offset) const;
  Result<Unit> LoadOld(size_t chunk);
  size_t RunEnd(size_t chunk) const;
  Result<Unit> FetchRun(size_t begin, size_t end);
  Result<Unit> Decode(size_t chunk, std::span<uint8_t> data);
  Result<Unit> Put(size_t chunk, CodecId codec);

  const ChunkWriterParts parts_;
  std::vector<Place> places_;
  Bytes decoded_;
  CodecSet codecs_;
  uint64_t written_ = 0;
};

}  // namespace sallyport::ota
