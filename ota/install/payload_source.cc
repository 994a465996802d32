#include "ota/install/payload_source.h"

namespace sallyport::ota {

Result<Unit> CheckRoom(uint64_t held, size_t more, uint64_t length) {
  if (more > length - held)
    return Error{Reason::kMismatch, "the source sends too much", "install.source-length"};
  return Unit{};
}

Result<Unit> CheckComplete(uint64_t held, uint64_t length) {
  if (held != length)
    return Error{Reason::kUnavailable, "the source broke off", "install.source-length"};
  return Unit{};
}

}  // namespace sallyport::ota
