// SourceReader: the old image that a delta is decoded from. Untrusted: what it returns is hashed
// before it is used.
#pragma once

#include <span>

#include "pki/base/bytes.h"

namespace sallyport::ota {

class SourceReader {
 public:
  virtual ~SourceReader() = default;
  // ReadAt fills all of `out` or fails.
  virtual Result<Unit> ReadAt(uint64_t offset, std::span<uint8_t> out) = 0;
};

}  // namespace sallyport::ota
