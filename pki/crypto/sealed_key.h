// Private keys of people, sealed by a passphrase: Argon2id, then XChaCha20-Poly1305, so that
// whoever finds the file pays for every guess (key_wrap.h).
//
// The text is `-----BEGIN SALLYPORT SEALED KEY-----`, base64 in lines of 64, and the END line. The
// bytes: u8 format 1 || u64 passes || u64 memory in bytes || salt[16] || u32 length || SPKI || box.
// The box holds the key's PKCS#8 PEM; everything before it is authenticated with it.
#pragma once

#include <string>
#include <string_view>

#include "pki/base/random.h"
#include "pki/crypto/key_wrap.h"
#include "pki/crypto/signature.h"

namespace sallyport::pki {

// IsSealedKey says whether `text` claims to be one. It proves nothing.
bool IsSealedKey(std::string_view text);

// SealKey: kInvalidArgument for an empty passphrase, and the errors of MasterKey::Derive.
Result<std::string> SealKey(const PrivateKey& key, std::string_view passphrase,
                            const KdfParams& params, Random& random);

// OpenSealedKey: kMalformed, rule key.sealed-format; kBadSignature, rule key.passphrase, when the
// passphrase is wrong or one bit of the file differs.
Result<PrivateKey> OpenSealedKey(std::string_view text, std::string_view passphrase);

}  // namespace sallyport::pki
