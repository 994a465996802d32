// BlockIndex: where which 4 KiB block of the old image lies. Uncompressed images keep files on
// block boundaries, so that most of a new release is found here.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ota/payload/segment_table.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// BlockDigest is the first half of a block's SHA-256.
using BlockDigest = FixedBytes<struct BlockDigestTag, 16>;
BlockDigest DigestOfBlock(ByteView block);

// 24 bytes of memory per block. Immutable once built.
class BlockIndex {
 public:
  // Build reads the image once. I/O errors.
  static Result<BlockIndex> Build(File& image);

  // Find prefers `wanted`, else it takes the first block with that content.
  std::optional<uint64_t> Find(const BlockDigest& digest, uint64_t wanted) const;
  // Whole blocks only; a remainder at the end is not indexed.
  uint64_t size() const { return digests_.size(); }
  const SourceImage& image() const { return image_; }

 private:
  explicit BlockIndex(SourceImage image) : image_(image) {}
  struct First8 {
    size_t operator()(const BlockDigest& digest) const {
      size_t out = 0;
      std::memcpy(&out, digest.view().data(), sizeof out);
      return out;
    }
  };
  SourceImage image_;
  std::vector<BlockDigest> digests_;
  std::unordered_map<BlockDigest, uint64_t, First8> first_;
};

}  // namespace sallyport::ota
