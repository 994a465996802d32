// EK certificates as TPM vendors store them in NV (TCG EK Credential Profile 2.5, section 2.2).
// Pure.
#pragma once

#include <vector>

#include "pki/base/bytes.h"

namespace sallyport::device {

inline constexpr size_t kEkCertificateBytesMax = 8 << 10;

// TakeCertificate returns the one DER SEQUENCE at the front of `nv`, which may follow a PC Client
// certificate header and be followed by padding. kMalformed (rule ek-certificate.der); kTooLarge.
// The content is not judged.
Result<Bytes> TakeCertificate(ByteView nv);

// TakeCertificates returns each of the DER SEQUENCEs that stand one behind the other, until padding
// or the end.
Result<std::vector<Bytes>> TakeCertificates(ByteView nv);

}  // namespace sallyport::device
