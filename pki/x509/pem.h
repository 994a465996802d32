// PEM of certificates (RFC 7468), strict: one label, canonical base64, nothing between blocks but
// white space.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pki/base/bytes.h"

namespace sallyport::pki {

constexpr size_t kCertificateBytesMax =
    16 << 10;                       // ours are below 1 KiB; a server leaf with many names fits
constexpr size_t kPemChainMax = 8;  // leaf and every issuer of every role we know

// CertificatePem writes one CERTIFICATE block.
std::string CertificatePem(ByteView der);
// ParseCertificatePem reads at least one and at most kPemChainMax blocks, in order. kMalformed,
// kTooLarge.
Result<std::vector<Bytes>> ParseCertificatePem(std::string_view text);

}  // namespace sallyport::pki
