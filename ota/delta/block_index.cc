#include "ota/delta/block_index.h"

#include "pki/crypto/file_hash.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {

BlockDigest DigestOfBlock(ByteView block) {
  const Sha256Digest digest = pki::Sha256(block);
  return *BlockDigest::FromView(digest.view().first(BlockDigest::kSize));
}

Result<BlockIndex> BlockIndex::Build(File& image) {
  static_assert(pki::kHashedPiece % kSourceBlock == 0);
  std::vector<BlockDigest> digests;
  SP_TRY(const pki::FileHash image_hash, pki::HashFile(image, [&](ByteView piece) {
           for (; piece.size() >= kSourceBlock; piece = piece.subspan(kSourceBlock))
             digests.push_back(DigestOfBlock(piece.first(kSourceBlock)));
           return Ok();
         }));
  BlockIndex index(SourceImage{image_hash.length, image_hash.sha256});
  index.first_.reserve(digests.size());
  for (size_t block = 0; block < digests.size(); ++block)
    index.first_.emplace(digests[block], block);
  index.digests_ = std::move(digests);
  return index;
}

std::optional<uint64_t> BlockIndex::Find(const BlockDigest& digest, uint64_t wanted) const {
  if (wanted < digests_.size() && digests_[static_cast<size_t>(wanted)] == digest) return wanted;
  const auto found = first_.find(digest);
  return found == first_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace sallyport::ota
