// What kind of file system an image holds and how it was made, as its superblock says. A claim, for
// the linter; nothing is installed by it. Pure.
#pragma once

#include <string>

#include "pki/base/bytes.h"

namespace sallyport::ota {

enum class ImageFormat : uint8_t {
  kErofs,
  kSquashfs,
  kExt,         // ext2, ext3 or ext4
  kPartitions,  // a whole disk: GPT or MBR
  kCompressed,  // the file itself is a compressed stream or an archive
  kUnknown,
};
std::string_view FormatName(ImageFormat format);

struct ImageFacts {
  ImageFormat format = ImageFormat::kUnknown;
  uint64_t block_size = 0;  // bytes; 0 when the format has none
  uint64_t length = 0;      // of the file system in bytes; 0 when it does not say
  bool compressed = false;  // the file system compresses its files
  std::string identity;     // UUID, and for ext its hash seed, in hex
};

// Bytes of the image's start that ProbeImage looks at.
inline constexpr size_t kImageHeadSize = 4096;

// ProbeImage is total: what it does not know is kUnknown. On-disk formats: EROFS and ext4 as in the
// kernel's documentation of their superblocks, squashfs 4.0, UEFI 2.10 section 5.
ImageFacts ProbeImage(ByteView head);

}  // namespace sallyport::ota
