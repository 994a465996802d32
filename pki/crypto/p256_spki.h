// The one DER form of a P-256 SubjectPublicKeyInfo (RFC 5480, uncompressed point).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sallyport::pki {

// Everything before the two coordinates of 32 bytes.
inline constexpr std::array<uint8_t, 27> kP256SpkiPrefix{
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06,
    0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
inline constexpr size_t kP256SpkiSize = kP256SpkiPrefix.size() + 64;

}  // namespace sallyport::pki
