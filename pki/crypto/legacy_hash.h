// SHA-1, for showing what an old event log says and for nothing else: no signature, quote, Name or
// reference value of the product uses it (HashAlgorithm does not name it).
#pragma once

#include <array>
#include <initializer_list>

#include "pki/base/bytes.h"

namespace sallyport::pki {

// Sha1ForInspection hashes the concatenation of `parts`. Thread-safe.
std::array<uint8_t, 20> Sha1ForInspection(std::initializer_list<ByteView> parts);

}  // namespace sallyport::pki
