// The Authenticode digest that firmware measures into PCR 4 and Secure Boot compares (Windows
// Authenticode Portable Executable Signature Format; the algorithm of EDK II's HashPeImage).
#pragma once

#include "ota/measure/pe_image.h"
#include "pki/base/digest.h"

namespace sallyport::ota {

// AuthenticodeContent is what is hashed, in order: headers without the checksum and the certificate
// directory entry, the sections by file offset, and trailing data without the certificates. Borrows
// the image. Pure; thread-safe.
std::vector<ByteView> AuthenticodeContent(const PeImage& image);
Sha256Digest AuthenticodeSha256(const PeImage& image);

}  // namespace sallyport::ota
