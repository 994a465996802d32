// Enrolment tokens: 256 random bits as base32 text; the store knows only their hash.
#pragma once

#include <string>
#include <string_view>

#include "pki/base/digest.h"
#include "pki/base/random.h"
#include "pki/base/result.h"

namespace sallyport::server {

// NewToken returns 52 characters of lower-case base32: 256 bits.
std::string NewToken(Random& random);

// HashToken is SHA-256("sallyport/token/v1\0" || text). kMalformed ("token.malformed") unless
// `token` has the form that NewToken makes.
Result<Sha256Digest> HashToken(std::string_view token);

}  // namespace sallyport::server
