#include "ota/measure/verity.h"

#include <algorithm>

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kSignature{"verity\0\0", 8};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kHashType = 1;  // salt before the data, hashes padded to a power of two
constexpr size_t kUuidSize = 16;
constexpr size_t kAlgorithmSize = 32;
constexpr size_t kSaltPadding = 6;
constexpr uint64_t kHashesInBlock = kVerityBlockSize / Sha256Digest::kSize;
// A tree of 4096-byte blocks over this many stays far below 2^63 bytes.
constexpr uint64_t kDataBlocksMax = uint64_t{1} << 48;

Error Malformed(std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), "verity.superblock"};
}

Result<Unit> CheckFormat(uint32_t type, uint32_t data_block, uint32_t hash_block,
                         std::string_view algorithm) {
  const bool known = type == kHashType && data_block == kVerityBlockSize &&
                     hash_block == kVerityBlockSize && algorithm == "sha256";
  if (known) return Unit{};
  return Error{Reason::kUnsupported,
               "hash type " + std::to_string(type) + ", blocks of " + std::to_string(data_block) +
                   " and " + std::to_string(hash_block) + " bytes",
               "verity.format"};
}

// Padded takes the text before the zeros that fill a field.
Result<std::string_view> Padded(ByteView field) {
  const std::string_view text = AsText(field);
  const size_t end = text.find('\0');
  if (end == text.npos || text.find_first_not_of('\0', end) != text.npos)
    return Malformed("algorithm");
  return text.substr(0, end);
}

}  // namespace

Result<std::optional<VeritySuperblock>> ParseVeritySuperblock(ByteView block) {
  using Found = std::optional<VeritySuperblock>;
  if (!AsText(block).starts_with(kSignature)) return Found();
  ByteReader reader(block.subspan(kSignature.size()), "verity superblock");
  SP_TRY(const uint32_t version, reader.LittleU32());
  if (version != kVersion)
    return Error{Reason::kUnsupported, "version " + std::to_string(version), "verity.format"};
  SP_TRY(const uint32_t type, reader.LittleU32());
  SP_TRY(reader.Take(kUuidSize));
  SP_TRY(const ByteView algorithm, reader.Take(kAlgorithmSize));
  SP_TRY(const std::string_view name, Padded(algorithm));
  SP_TRY(const uint32_t data_block, reader.LittleU32());
  SP_TRY(const uint32_t hash_block, reader.LittleU32());
  SP_TRY(CheckFormat(type, data_block, hash_block, name));
  SP_TRY(const uint64_t data_blocks, reader.LittleU64());
  SP_TRY(const uint16_t salt_size, reader.LittleU16());
  SP_TRY(reader.Take(kSaltPadding));
  SP_TRY(const ByteView salt, reader.Take(kVeritySaltMax));
  if (data_blocks == 0 || data_blocks > kDataBlocksMax || salt_size > kVeritySaltMax)
    return Malformed("data blocks or salt");
  return Found(VeritySuperblock{data_blocks, ToBytes(salt.first(salt_size))});
}

std::vector<uint64_t> VerityTreeBlocks(uint64_t data_blocks) {
  std::vector<uint64_t> out;
  while (data_blocks > 1) {
    data_blocks = (data_blocks + kHashesInBlock - 1) / kHashesInBlock;
    out.push_back(data_blocks);
  }
  return out;
}

std::optional<uint64_t> VerityEnd(const VerityTree& tree) {
  const uint64_t data_blocks = tree.data_size / kVerityBlockSize;
  if (data_blocks > kDataBlocksMax || tree.hash_offset > kDataBlocksMax * kVerityBlockSize)
    return std::nullopt;
  uint64_t blocks = 1;
  for (const uint64_t level : VerityTreeBlocks(data_blocks)) blocks += level;
  return tree.hash_offset + blocks * kVerityBlockSize;
}

Sha256Digest VerityHasher::HashOf(ByteView block) const { return pki::Sha256({salt_, block}); }

void VerityHasher::Push(size_t level, const Sha256Digest& hash) {
  if (levels_.size() == level) levels_.emplace_back();
  Append(levels_[level].hashes, hash.view());
  ++levels_[level].count;
  if (levels_[level].hashes.size() == kVerityBlockSize) Complete(level);
}

void VerityHasher::Complete(size_t level) {
  Level& held = levels_[level];
  held.hashes.resize(kVerityBlockSize);
  if (see_) see_(level, held.blocks, held.hashes);
  const Sha256Digest hash = HashOf(held.hashes);
  held.hashes.clear();
  ++held.blocks;
  Push(level + 1, hash);
}

void VerityHasher::Update(ByteView data) {
  while (!data.empty()) {
    const size_t size = std::min(data.size(), kVerityBlockSize - data_.size());
    if (data_.empty() && size == kVerityBlockSize) {
      Push(0, HashOf(data.first(size)));
    } else {
      Append(data_, data.first(size));
      if (data_.size() == kVerityBlockSize) {
        Push(0, HashOf(data_));
        data_.clear();
      }
    }
    data = data.subspan(size);
  }
}

// The level with a single hash is the root; every level below it is completed first.
Sha256Digest VerityHasher::Root() {
  SP_CHECK(data_.empty() && !levels_.empty());
  for (size_t level = 0;; ++level) {
    if (levels_[level].count == 1) return *Sha256Digest::FromView(levels_[level].hashes);
    if (!levels_[level].hashes.empty()) Complete(level);
  }
}

}  // namespace sallyport::ota
