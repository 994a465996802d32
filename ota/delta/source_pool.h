// SourcePool: the parts of the old image that are no longer in the new one, one after the other and
// sorted by suffix. What is new in a release is nearly always a changed form of what went away.
#pragma once

#include <optional>
#include <vector>

#include "pki/base/bytes.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// Sorting takes five bytes per byte, so that a pool costs at most 2.5 GiB.
inline constexpr uint64_t kPoolSizeMax = 512u << 20;

// BlockRun is a run of blocks of the old image.
struct BlockRun {
  uint64_t block;
  uint64_t count;
};

// Immutable once built; thread-safe.
class SourcePool {
 public:
  struct Match {
    size_t position;
    size_t length;
  };
  struct Piece {
    uint64_t offset;  // in the old image
    size_t length;
  };

  // Load reads `runs`, in order and without overlap, and sorts them: about 0.06 s per MB.
  // kTooLarge, delta.pool, above kPoolSizeMax; I/O errors.
  static Result<SourcePool> Load(File& image, std::vector<BlockRun> runs);

  ByteView text() const { return text_; }
  // Longest finds the longest common start of `needle` and any suffix; at most 64 KiB of it.
  Match Longest(ByteView needle) const;
  // PositionOf says where a block of the old image lies in the pool.
  std::optional<size_t> PositionOf(uint64_t block) const;
  // At says where `position` lies in the old image, and how far its run goes on.
  Piece At(size_t position) const;

 private:
  struct Run {
    uint64_t block;
    uint64_t count;
    size_t position;
  };
  SourcePool() = default;
  Result<Unit> Sort();
  void IndexHeads();

  Bytes text_;
  std::vector<int32_t> suffixes_;
  std::vector<int32_t> heads_;  // per first three bytes, its first suffix
  std::vector<Run> runs_;
};

}  // namespace sallyport::ota
