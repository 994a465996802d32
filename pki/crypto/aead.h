// Authenticated encryption: XChaCha20-Poly1305-IETF (libsodium). A sealed box is the 24-byte random
// nonce followed by the ciphertext and its 16-byte tag; 192-bit nonces make random ones safe.
#pragma once

#include "pki/crypto/secret.h"

namespace sallyport::pki {

using AeadKey = Secret<32>;
constexpr size_t kAeadOverhead = 24 + 16;

// AeadSeal encrypts `plain` and authenticates `associated` with it. Thread-safe.
Bytes AeadSeal(const AeadKey& key, ByteView plain, ByteView associated, Random& random);
// AeadOpen: kMalformed when `box` is shorter than kAeadOverhead; kBadSignature (rule aead.forged)
// when key, box or `associated` differ in any bit. Thread-safe.
Result<SecretBytes> AeadOpen(const AeadKey& key, ByteView box, ByteView associated);
// AeadOpenPlain is AeadOpen into ordinary memory, for what lives no longer than one call: locked
// memory costs five system calls. The caller wipes it when a secret is inside.
Result<Bytes> AeadOpenPlain(const AeadKey& key, ByteView box, ByteView associated);

}  // namespace sallyport::pki
