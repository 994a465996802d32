#include "attestation-server/enrolment/tokens.h"

#include "pki/crypto/hash.h"

namespace sallyport::server {

namespace {
constexpr size_t kTokenCharacters = 52;  // 256 bits in base32
}

std::string NewToken(Random& random) {
  std::array<uint8_t, 32> bytes;
  random.Fill(bytes);
  return Base32LowerEncode(bytes);
}

Result<Sha256Digest> HashToken(std::string_view token) {
  const bool well_formed =
      token.size() == kTokenCharacters &&
      token.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567") == std::string_view::npos;
  if (!well_formed)
    return Error{Reason::kMalformed, "a token is 52 letters and digits", "token.malformed"};
  return pki::LabelledDigest("sallyport/token/v1", {AsBytes(token)});
}

}  // namespace sallyport::server
