#include "ota/payload/image_format.h"

#include <array>

namespace sallyport::ota {
namespace {

constexpr size_t kSuperblockAt = 1024;  // EROFS and ext alike

struct Magic {
  size_t offset;
  std::string_view bytes;
};

using namespace std::string_view_literals;
constexpr std::array kCompressedMagics = {
    Magic{0, "\x1f\x8b"sv},          // gzip
    Magic{0, "\xfd\x37zXZ\0"sv},     // xz
    Magic{0, "\x28\xb5\x2f\xfd"sv},  // zstd
    Magic{0, "BZh"sv},               // bzip2
    Magic{0, "\x04\x22\x4d\x18"sv},  // lz4
    Magic{0, "PK\x03\x04"sv},        // zip
    Magic{257, "ustar"sv},           // tar
};
constexpr Magic kGpt{512, "EFI PART"sv};
constexpr Magic kMbr{510, "\x55\xaa"sv};

bool Has(ByteView head, const Magic& magic) {
  return head.size() >= magic.offset + magic.bytes.size() &&
         AsText(head.subspan(magic.offset, magic.bytes.size())) == magic.bytes;
}

// Callers have checked that `head` is long enough.
uint64_t Little(ByteView head, size_t offset, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i > 0; --i) value = value << 8 | head[offset + i - 1];
  return value;
}
std::string Hex(ByteView head, size_t offset, size_t size) {
  return HexEncode(head.subspan(offset, size));
}

ImageFacts Erofs(ByteView head) {
  const auto field = [&](size_t at, size_t size) { return Little(head, kSuperblockAt + at, size); };
  constexpr uint64_t kCompressionFeatures = 0x1 | 0x2;  // LZ4_0PADDING, COMPR_CFGS
  const uint64_t bits = field(12, 1);
  const uint64_t block_size = bits < 32 ? uint64_t{1} << bits : 0;
  return {ImageFormat::kErofs, block_size, field(36, 4) * block_size,
          (field(80, 4) & kCompressionFeatures) != 0, Hex(head, kSuperblockAt + 48, 16)};
}

ImageFacts Squashfs(ByteView head) {
  constexpr uint64_t kDataUncompressed = 0x2;
  return {ImageFormat::kSquashfs, Little(head, 12, 4), Little(head, 40, 8),
          (Little(head, 24, 2) & kDataUncompressed) == 0, ""};
}

ImageFacts Ext(ByteView head) {
  const auto field = [&](size_t at, size_t size) { return Little(head, kSuperblockAt + at, size); };
  constexpr uint64_t k64Bit = 0x80;
  const uint64_t bits = 10 + field(24, 4);
  const uint64_t block_size = bits < 32 ? uint64_t{1} << bits : 0;
  const uint64_t high = (field(96, 4) & k64Bit) != 0 ? field(0x150, 4) : 0;
  return {ImageFormat::kExt, block_size, (high << 32 | field(4, 4)) * block_size, false,
          Hex(head, kSuperblockAt + 0x68, 16) + Hex(head, kSuperblockAt + 0xEC, 16)};
}

}  // namespace

std::string_view FormatName(ImageFormat format) {
  switch (format) {
    case ImageFormat::kErofs: return "erofs";
    case ImageFormat::kSquashfs: return "squashfs";
    case ImageFormat::kExt: return "ext";
    case ImageFormat::kPartitions: return "partitions";
    case ImageFormat::kCompressed: return "compressed";
    case ImageFormat::kUnknown: return "unknown";
  }
  std::abort();
}

ImageFacts ProbeImage(ByteView head) {
  constexpr Magic kErofsMagic{kSuperblockAt, "\xe2\xe1\xf5\xe0"sv};
  constexpr Magic kExtMagic{kSuperblockAt + 56, "\x53\xef"sv};
  constexpr Magic kSquashfsMagic{0, "hsqs"sv};
  if (head.size() >= kImageHeadSize) {
    if (Has(head, kErofsMagic)) return Erofs(head);
    if (Has(head, kExtMagic)) return Ext(head);
    if (Has(head, kSquashfsMagic)) return Squashfs(head);
  }
  ImageFacts facts;
  if (Has(head, kGpt) || Has(head, kMbr)) facts.format = ImageFormat::kPartitions;
  for (const Magic& magic : kCompressedMagics)
    if (Has(head, magic)) facts.format = ImageFormat::kCompressed;
  return facts;
}

}  // namespace sallyport::ota
