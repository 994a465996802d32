// The section `ima` of a reference file: which files may run.
//   "ima":{"allow":["sha256:<hex>"],"signers":[{"key_id":"<8 hex>","key":"<base64
//   SPKI>","what":".."}]}
// At least one of the two; `what` is optional. Pure; thread-safe.
#pragma once

#include "attestation-server/evidence/ima.h"
#include "pki/base/json.h"

namespace sallyport::server {

inline constexpr size_t kImaAllowMax = 16'384;  // what fits a reference file
inline constexpr size_t kImaSignersMax = 64;    // vendors and sites of one class

// ParseImaSection: kMalformed (rules of pki/base/json.h, reference.ima, reference.ima-digest,
// reference.ima-signer). SHA-256, SHA-384 and SHA-512; keys RSA of 2048 bits or more, P-256, P-384.
Result<ImaExpected> ParseImaSection(const JsonCursor& json);

// WriteImaSection is deterministic.
JsonValue WriteImaSection(const ImaExpected& expected);

}  // namespace sallyport::server
