// Where a certificate departs from DER. TPM vendors ship certificates that OpenSSL reads and DER
// forbids (a SET whose members are not sorted, most often); they are accepted as they are, byte for
// byte, and a verdict says so.
#pragma once

#include <optional>
#include <string>

#include "pki/base/bytes.h"

namespace sallyport::pki {

// FindDerDeviation names the first departure of `der` from X.690 section 11 and its offset, or
// nothing: lengths, booleans, integers, unused bits, times, the order of SETs, an encoded default
// of an extension; inside the values of extensions too. Nesting is bounded. Pure; thread-safe.
std::optional<std::string> FindDerDeviation(ByteView der);

}  // namespace sallyport::pki
