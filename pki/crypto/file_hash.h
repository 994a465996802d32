// HashFile: length and SHA-256 of a whole file.
#pragma once

#include <functional>

#include "pki/base/digest.h"
#include "pki/base/file_system.h"

namespace sallyport::pki {

// The size of the pieces that `take` gets; only the last is smaller.
inline constexpr size_t kHashedPiece = 1 << 20;

struct FileHash {
  uint64_t length;
  Sha256Digest sha256;
};

// HashFile reads `file` once, to its end, and hands every piece to `take` as it goes. Errors of the
// file and of `take`.
Result<FileHash> HashFile(File& file, const std::function<Result<Unit>(ByteView piece)>& take = {});

}  // namespace sallyport::pki
