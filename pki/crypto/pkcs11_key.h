// Private keys in a PKCS#11 token (smart card, HSM): the key never leaves it. P-256 and RSA only:
// the engine cannot list the keys of a token that holds one Ed25519 key.
#pragma once

#include <string>
#include <string_view>

#include "pki/crypto/signature.h"

namespace sallyport::pki {

// IsPkcs11Uri says whether `text` is meant as an RFC 7512 URI.
bool IsPkcs11Uri(std::string_view text);

// OpenPkcs11Key takes `pkcs11:token=T;object=O[?module-path=FILE]`; without module-path p11-kit's
// proxy module is used. One module per process. Errors (rule): kInvalidArgument key.pkcs11-uri for
// a URI that holds a PIN or is none; kUnsupported key.pkcs11-engine without the OpenSSL engine
// (Debian package libengine-pkcs11-openssl); kBadSignature key.pkcs11 when the token gives no such
// key: wrong PIN, wrong name, or an Ed25519 key among its keys; kUnsupported key.pkcs11-type for
// others than P-256 and RSA. Not thread-safe.
Result<PrivateKey> OpenPkcs11Key(std::string_view uri, std::string_view pin);

}  // namespace sallyport::pki
