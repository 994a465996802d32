// Numbers of the TPM 2.0 Library, Part 2, that appear in what a device sends us.
#pragma once

#include <cstdint>

namespace sallyport::pki::tpm {

inline constexpr uint32_t kGenerated = 0xFF544347;  // TPM_GENERATED_VALUE

enum class AttestType : uint16_t {
  kNv = 0x8014,
  kCertify = 0x8017,
  kQuote = 0x8018,
  kCreation = 0x801A,
};

inline constexpr uint32_t kOwner = 0x40000001;
inline constexpr uint32_t kNullHierarchy = 0x40000007;
inline constexpr uint32_t kEndorsement = 0x4000000B;

inline constexpr uint16_t kAlgRsa = 0x0001;
inline constexpr uint16_t kAlgSha1 = 0x0004;
inline constexpr uint16_t kAlgAes = 0x0006;
inline constexpr uint16_t kAlgSha256 = 0x000B;
inline constexpr uint16_t kAlgSha384 = 0x000C;
inline constexpr uint16_t kAlgSha512 = 0x000D;
inline constexpr uint16_t kAlgNull = 0x0010;
inline constexpr uint16_t kAlgRsassa = 0x0014;
inline constexpr uint16_t kAlgRsapss = 0x0016;
inline constexpr uint16_t kAlgEcdsa = 0x0018;
inline constexpr uint16_t kAlgEcc = 0x0023;
inline constexpr uint16_t kAlgCfb = 0x0043;

inline constexpr uint16_t kCurveP256 = 0x0003;
inline constexpr uint16_t kCurveP384 = 0x0004;

// TPMA_OBJECT.
inline constexpr uint32_t kFixedTpm = 1u << 1;
inline constexpr uint32_t kStClear = 1u << 2;
inline constexpr uint32_t kFixedParent = 1u << 4;
inline constexpr uint32_t kSensitiveDataOrigin = 1u << 5;
inline constexpr uint32_t kUserWithAuth = 1u << 6;
inline constexpr uint32_t kAdminWithPolicy = 1u << 7;
inline constexpr uint32_t kNoDa = 1u << 10;
inline constexpr uint32_t kEncryptedDuplication = 1u << 11;
inline constexpr uint32_t kRestricted = 1u << 16;
inline constexpr uint32_t kDecrypt = 1u << 17;
inline constexpr uint32_t kSign = 1u << 18;
inline constexpr uint32_t kKnownAttributes =
    kFixedTpm | kStClear | kFixedParent | kSensitiveDataOrigin | kUserWithAuth | kAdminWithPolicy |
    kNoDa | kEncryptedDuplication | kRestricted | kDecrypt | kSign;

inline constexpr unsigned kPcrCount = 24;  // PC Client profile

}  // namespace sallyport::pki::tpm
