// The chunk table: an image as content-defined chunks, each compressed alone, for devices whose
// running slot holds an image that no delta starts from. What they find there again they do not
// download (docs/protocol.md, Release). A table of this type is complete and within its limits.
#pragma once

#include <functional>
#include <vector>

#include "ota/payload/chunker.h"
#include "ota/payload/segment_table.h"
#include "pki/base/digest.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// At 72 bytes each the table of an image of 7 GiB; larger images have no chunks.
inline constexpr size_t kChunksMax = 116'000;
inline constexpr uint64_t kChunkIndexSizeMax = 8u << 20;

struct Chunk {
  uint32_t length;
  Sha256Digest sha256;   // of the decoded bytes
  uint32_t data_length;  // one zstd frame, sealed or not
  Sha256Digest data_sha256;
  bool operator==(const Chunk&) const = default;
};

class ChunkTable {
 public:
  // Make: kMalformed with chunks.count, chunks.length (empty, above kChunkMax, or not adding up to
  // the image), chunks.data-size.
  static Result<ChunkTable> Make(uint64_t image_length, const Sha256Digest& image_sha256,
                                 std::vector<Chunk> chunks, PayloadForm form = PayloadForm::kPlain);
  // Parse: the rules of Make; kMalformed chunks.index (truncated or trailing bytes), kUnsupported
  // chunks.format.
  static Result<ChunkTable> Parse(ByteView index);
  // Encode is deterministic; Parse(Encode()) is the same table.
  Bytes Encode() const;

  uint64_t image_length() const { return image_length_; }
  const Sha256Digest& image_sha256() const { return image_sha256_; }
  uint64_t payload_length() const { return payload_length_; }
  const std::vector<Chunk>& chunks() const { return chunks_; }
  PayloadForm form() const { return form_; }

 private:
  ChunkTable(uint64_t image_length, const Sha256Digest& image_sha256, std::vector<Chunk> chunks,
             PayloadForm form)
      : image_length_(image_length),
        image_sha256_(image_sha256),
        chunks_(std::move(chunks)),
        form_(form) {}
  uint64_t image_length_;
  Sha256Digest image_sha256_;
  std::vector<Chunk> chunks_;
  PayloadForm form_;
  uint64_t payload_length_ = 0;
};

// ForEachChunk cuts the first `length` bytes of `file`, or all when it ends before. Errors of
// `file` and `take`. Memory: two chunks.
using TakeChunk = std::function<Result<Unit>(uint64_t offset, ByteView chunk)>;
Result<Unit> ForEachChunk(File& file, uint64_t length, const TakeChunk& take);

// PackChunks reads `image` once and writes the chunks' data to `payload` from its start. The rules
// of Make; I/O errors.
Result<ChunkTable> PackChunks(File& image, File& payload,
                              const std::function<void(uint64_t done, uint64_t total)>& progress);

}  // namespace sallyport::ota
