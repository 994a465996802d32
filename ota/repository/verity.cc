#include "ota/repository/verity.h"

#include <algorithm>

#include "ota/measure/pe_image.h"

namespace sallyport::ota {
namespace {

constexpr size_t kReadSize = 1 << 20;

Error Mismatch(std::string_view rule, std::string detail) {
  return Error{Reason::kMismatch, std::move(detail), rule};
}

struct Found {
  VeritySuperblock superblock;
  uint64_t offset;
};

// A superblock inside the data, of a disk image in the file system, say, does not stand where its
// own data ends.
Result<std::optional<Found>> FindSuperblock(File& image) {
  Bytes buffer(kReadSize);
  for (uint64_t at = 0;; at += kReadSize) {
    SP_TRY(const size_t size, image.ReadAt(at, buffer));
    for (size_t i = 0; i + kVerityBlockSize <= size; i += kVerityBlockSize) {
      const ByteView block = ByteView(buffer).subspan(i, kVerityBlockSize);
      const auto superblock = ParseVeritySuperblock(block);
      const bool ours =
          superblock && *superblock && (*superblock)->data_blocks * kVerityBlockSize == at + i;
      if (ours) return std::optional<Found>({**superblock, at + i});
    }
    if (size < kReadSize) return std::optional<Found>();
  }
}

// TreeReader compares the tree's blocks with those of the image: the root's level comes first, the
// lowest last.
class TreeReader {
 public:
  TreeReader(File& image, const Found& found) : image_(image) {
    const std::vector<uint64_t> blocks = VerityTreeBlocks(found.superblock.data_blocks);
    starts_.resize(blocks.size());
    uint64_t at = found.offset + kVerityBlockSize;
    for (size_t level = blocks.size(); level-- > 0;) {
      starts_[level] = at;
      at += blocks[level] * kVerityBlockSize;
    }
  }
  void Compare(size_t level, uint64_t index, ByteView block) {
    Bytes held(kVerityBlockSize);
    const auto size = image_.ReadAt(starts_.at(level) + index * kVerityBlockSize, held);
    agrees_ = agrees_ && size && *size == kVerityBlockSize && Equal(held, block);
  }
  bool agrees() const { return agrees_; }

 private:
  File& image_;
  std::vector<uint64_t> starts_;
  bool agrees_ = true;
};

Result<Unit> HashData(File& image, uint64_t length, VerityHasher& hasher) {
  Bytes buffer(kReadSize);
  for (uint64_t at = 0; at < length;) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(kReadSize, length - at));
    SP_TRY(const size_t size, image.ReadAt(at, std::span(buffer).first(wanted)));
    if (size != wanted) return Mismatch("release.verity-tree", "the image ends early");
    hasher.Update(ByteView(buffer).first(size));
    at += size;
  }
  return Unit{};
}

// Words splits a command line; NUL ends it.
std::vector<std::string_view> Words(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  std::vector<std::string_view> out;
  while (true) {
    const size_t start = text.find_first_not_of(" \t\n");
    if (start == text.npos) return out;
    text.remove_prefix(start);
    out.push_back(text.substr(0, text.find_first_of(" \t\n")));
    text.remove_prefix(out.back().size());
  }
}

bool EqualHex(std::string_view text, std::string_view hex) {
  return std::ranges::equal(text, hex, [](char a, char b) {
    return (a >= 'A' && a <= 'F' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

Error BadWord(std::string_view word) {
  return Mismatch("release.verity-cmdline", std::string(word) + " does not name this image");
}

}  // namespace

Result<std::optional<VerityTree>> FindVerity(File& image) {
  SP_TRY(const std::optional<Found> found, FindSuperblock(image));
  if (!found) return std::optional<VerityTree>();
  TreeReader tree(image, *found);
  VerityHasher hasher(found->superblock.salt, [&](size_t level, uint64_t index, ByteView block) {
    tree.Compare(level, index, block);
  });
  SP_TRY(HashData(image, found->offset, hasher));
  const Sha256Digest root = hasher.Root();
  if (!tree.agrees())
    return Mismatch("release.verity-tree", "the hash tree is not that of the image's data");
  return std::optional<VerityTree>({root, found->superblock.salt, found->offset, found->offset});
}

Result<Unit> CheckVerityCommandLine(ByteView uki, const std::optional<VerityTree>& tree,
                                    const Sha256Digest& image_sha256, uint64_t image_length) {
  SP_TRY(const PeImage image, PeImage::Parse(uki));
  const PeSection* const section = image.Find(".cmdline");
  bool named = false;
  for (const std::string_view word : Words(section != nullptr ? AsText(section->raw) : "")) {
    const std::string_view value = word.substr(std::min(word.size(), word.find('=') + 1));
    if (word.starts_with("roothash=") || word.starts_with("usrhash=")) {
      if (!tree || !EqualHex(value, HexEncode(tree->root_hash))) return BadWord(word);
      named = true;
    }
    if (tree && word.starts_with("sallyport.image=")) {
      if (value != HexEncode(image_sha256) + ":" + std::to_string(image_length))
        return BadWord(word);
      named = true;
    }
  }
  if (tree && !named)
    return Mismatch("release.verity-cmdline", "the command line names no root hash");
  return Unit{};
}

}  // namespace sallyport::ota
