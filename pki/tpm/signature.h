// TPMT_SIGNATURE (TPM 2.0 Part 2, 11.3.4): ECDSA, RSASSA, RSAPSS with SHA-2. Pure; thread-safe.
#pragma once

#include "pki/tpm/public_area.h"

namespace sallyport::pki {

inline constexpr size_t kTpmSignatureBytesMax = 1024;  // RSA-4096 would be 518

struct TpmSignature {
  KeyScheme scheme;
  // bytes are what PublicKey::Verify takes: DER Ecdsa-Sig-Value, or the RSA signature.
  Bytes bytes;
};

// ParseTpmSignature reads exactly one TPMT_SIGNATURE. kTooLarge; kMalformed (rules
// signature.structure, signature.range: r or s is zero or longer than P-384's order); kUnsupported
// (signature.algorithm; SHA-1 is one).
Result<TpmSignature> ParseTpmSignature(ByteView tpmt_signature);

// VerifyTpmSignature proves that the key of `signer` signed `message`: errors of ParseTpmSignature
// and ToPublicKey; kMismatch (rule signature.scheme: not the one explicit scheme of the key, or the
// key has none); kBadSignature.
Result<Unit> VerifyTpmSignature(const PublicArea& signer, ByteView message,
                                ByteView tpmt_signature);

// EcdsaDer writes Ecdsa-Sig-Value from big-endian r and s. kMalformed (rule signature.range).
Result<Bytes> EcdsaDer(ByteView r, ByteView s);

}  // namespace sallyport::pki
