// dm-verity: the hash tree that the kernel checks every block of an image against (Linux,
// Documentation/admin-guide/device-mapper/verity.rst; cryptsetup's superblock, version 1). Only
// what veritysetup makes by default: hash type 1, SHA-256, blocks of 4096 bytes. Pure.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "pki/base/bytes.h"
#include "pki/base/digest.h"

namespace sallyport::ota {

inline constexpr size_t kVerityBlockSize = 4096;
inline constexpr size_t kVeritySaltMax = 256;

// VerityTree says where an image's tree stands and what its root must be.
struct VerityTree {
  Sha256Digest root_hash;
  Bytes salt;
  uint64_t data_size;    // bytes that the tree covers, whole blocks
  uint64_t hash_offset;  // of the superblock; the tree follows in the next block
  bool operator==(const VerityTree&) const = default;
};

struct VeritySuperblock {
  uint64_t data_blocks;
  Bytes salt;
};

// ParseVeritySuperblock: nullopt when the block is no superblock at all; kMalformed,
// verity.superblock, when it is a broken one; kUnsupported, verity.format, for other hash types,
// algorithms or block sizes.
Result<std::optional<VeritySuperblock>> ParseVeritySuperblock(ByteView block);

// VerityTreeBlocks is how many blocks the levels of a tree take, the lowest first. Empty for one
// data block, whose hash is the root.
std::vector<uint64_t> VerityTreeBlocks(uint64_t data_blocks);
// VerityEnd is where the tree of `tree` ends in the image, bytes; nullopt when that overflows.
std::optional<uint64_t> VerityEnd(const VerityTree& tree);

// VerityHasher computes the root from the data in one pass; memory is one block per level. One
// thread at a time.
class VerityHasher {
 public:
  // BlockFunction sees each finished block of the tree: its level, from 0 just above the data, and
  // its place in that level.
  using BlockFunction = std::function<void(size_t level, uint64_t index, ByteView block)>;

  explicit VerityHasher(Bytes salt, BlockFunction see = {})
      : salt_(std::move(salt)), see_(std::move(see)) {}

  // Update takes the data in pieces of any size.
  void Update(ByteView data);
  // Root ends the tree; aborts unless the data were one or more whole blocks.
  Sha256Digest Root();

 private:
  struct Level {
    Bytes hashes;
    uint64_t blocks = 0;  // finished
    uint64_t count = 0;   // hashes in all
  };
  Sha256Digest HashOf(ByteView block) const;
  void Push(size_t level, const Sha256Digest& hash);
  void Complete(size_t level);

  const Bytes salt_;
  const BlockFunction see_;
  Bytes data_;
  std::vector<Level> levels_;
};

}  // namespace sallyport::ota
