#include "ota/delta/block_index.h"

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr size_t kPiece = 1 << 20;
static_assert(kPiece % kSourceBlock == 0);

}  // namespace

BlockDigest DigestOfBlock(ByteView block) {
  const Sha256Digest digest = pki::Sha256(block);
  return *BlockDigest::FromView(digest.view().first(BlockDigest::kSize));
}

Result<SourceImage> ReadImage(File& image,
                              const std::function<Result<Unit>(ByteView piece)>& take) {
  pki::Hasher hash(pki::HashAlgorithm::kSha256);
  Bytes buffer(kPiece);
  uint64_t length = 0;
  while (true) {
    SP_TRY(const size_t size, image.ReadAt(length, buffer));
    const ByteView piece = ByteView(buffer).first(size);
    hash.Update(piece);
    SP_TRY(take(piece));
    length += size;
    if (size < buffer.size()) break;
  }
  return SourceImage{length, *Sha256Digest::FromView(hash.Finish())};
}

Result<BlockIndex> BlockIndex::Build(File& image) {
  std::vector<BlockDigest> digests;
  SP_TRY(const SourceImage facts, ReadImage(image, [&](ByteView piece) {
           for (; piece.size() >= kSourceBlock; piece = piece.subspan(kSourceBlock))
             digests.push_back(DigestOfBlock(piece.first(kSourceBlock)));
           return Ok();
         }));
  BlockIndex index(facts);
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
