// What a payload source may not do: send too much, or less than it said.
#pragma once

#include <cstdint>

#include "pki/base/result.h"

namespace sallyport::ota {

// CheckRoom: kMismatch, install.source-length. A source that pushes more than was asked for is
// endless data, not a file.
inline Result<Unit> CheckRoom(uint64_t held, size_t more, uint64_t length) {
  if (more > length - held)
    return Error{Reason::kMismatch, "the source sends too much", "install.source-length"};
  return Unit{};
}

// CheckComplete: kUnavailable, install.source-length.
inline Result<Unit> CheckComplete(uint64_t held, uint64_t length) {
  if (held != length)
    return Error{Reason::kUnavailable, "the source broke off", "install.source-length"};
  return Unit{};
}

}  // namespace sallyport::ota
