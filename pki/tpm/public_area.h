// TPMT_PUBLIC (TPM 2.0 Part 2, 12.2.4) of an asymmetric key: ECC P-256 or P-384, RSA 2048 or 3072.
// Exactly one encoding of each value is accepted, so that one key has one Name. Pure; thread-safe.
#pragma once

#include <optional>
#include <variant>

#include "pki/crypto/signature.h"
#include "pki/tpm/constants.h"

namespace sallyport::pki {

inline constexpr size_t kPublicAreaBytesMax = 1024;  // an RSA-4096 area would be about 570

// KeyScheme is an explicit signing scheme; a key without one may be asked to sign with any.
struct KeyScheme {
  SignatureScheme scheme;
  HashAlgorithm hash;
  bool operator==(const KeyScheme&) const = default;
};

struct EccUnique {
  uint16_t curve;  // tpm::kCurveP256 or tpm::kCurveP384
  Bytes x;         // left-padded to the field size
  Bytes y;
  bool operator==(const EccUnique&) const = default;
};

struct RsaUnique {
  uint16_t key_bits;  // 2048, 3072 or 4096
  uint32_t exponent;  // as on the wire: 0 stands for 65537
  Bytes modulus;      // key_bits / 8 bytes
  bool operator==(const RsaUnique&) const = default;
};

struct PublicArea {
  HashAlgorithm name_alg;
  uint32_t attributes;  // TPMA_OBJECT, tpm::k...
  Bytes auth_policy;    // empty, or a digest of name_alg's size
  // symmetric_bits is the AES-CFB key size of a storage key; empty for TPM_ALG_NULL.
  std::optional<uint16_t> symmetric_bits;
  std::optional<KeyScheme> scheme;  // empty for TPM_ALG_NULL
  std::variant<EccUnique, RsaUnique> unique;

  bool Has(uint32_t attribute_bits) const {
    return (attributes & attribute_bits) == attribute_bits;
  }
  bool HasAny(uint32_t attribute_bits) const { return (attributes & attribute_bits) != 0; }
  // ToPublicKey returns kMalformed when the point is not on the curve or the modulus has the wrong
  // size.
  Result<PublicKey> ToPublicKey() const;
  // Marshal writes the TPMT_PUBLIC; for a parsed area these are the bytes parsed.
  Bytes Marshal() const;
  bool operator==(const PublicArea&) const = default;
};

// ParsePublicArea reads exactly one TPMT_PUBLIC. kTooLarge; kMalformed (rules public.structure:
// truncated, trailing bytes, a second encoding of a value; public.attributes: reserved bits;
// public.policy-size; public.unique-size); kUnsupported (public.type, public.name-alg,
// public.symmetric, public.scheme, public.curve, public.key-bits, public.exponent, public.kdf).
// SHA-1 is never supported.
Result<PublicArea> ParsePublicArea(ByteView tpmt_public);
// ParseTpm2bPublic unwraps a TPM2B_PUBLIC first; no trailing bytes.
Result<PublicArea> ParseTpm2bPublic(ByteView tpm2b_public);

// HashFromTpm maps a TPM_ALG_ID; kUnsupported for anything but SHA-256, SHA-384 and SHA-512.
Result<HashAlgorithm> HashFromTpm(uint16_t algorithm);

}  // namespace sallyport::pki
