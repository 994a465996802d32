// PKCS#10 certification requests (RFC 2986): a P-256 key and the proof that its holder has it.
// Names and attributes in a request are ignored: identity comes from the verdict, never from the
// applicant.
#pragma once

#include <functional>

#include "pki/crypto/signature.h"

namespace sallyport::pki {

constexpr size_t kCsrBytesMax =
    4096;  // ours are about 220 bytes; a foreign tool may add attributes

struct CertificateRequest {
  PublicKey key;  // P-256; key.spki() is the exact SubjectPublicKeyInfo of the request
};

// ParseCsr reads exactly one DER request. kTooLarge; kMalformed; kUnsupported (rule csr.algorithm:
// not P-256 with SHA-256); kBadSignature (rule csr.signature: the self-signature does not verify).
// Pure; thread-safe.
Result<CertificateRequest> ParseCsr(ByteView der);

// MakeCsr writes a request with an empty subject for `spki`; `sign` makes the DER ECDSA-SHA256
// signature of the bytes it is given (in the TPM, for devices). Errors are those of `sign`.
Result<Bytes> MakeCsr(ByteView spki,
                      const std::function<Result<Bytes>(ByteView to_be_signed)>& sign);

}  // namespace sallyport::pki
