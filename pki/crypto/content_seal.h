// ContentSeal: the parts of a release under its content key. XChaCha20-Poly1305 whose nonce is
// derived from the key, the context and what is sealed: making a release twice gives the same
// bytes, and two different texts never share a nonce, also when somebody uses one key for two
// releases. A box is the 24-byte nonce, the ciphertext and its 16-byte tag.
#pragma once

#include "pki/base/digest.h"
#include "pki/crypto/aead.h"

namespace sallyport::pki {

// What releases and their tables call this scheme; there is no other.
inline constexpr std::string_view kContentSealScheme = "xchacha20-poly1305/v1";

using ContentKey = Secret<32>;
// ContentKeyId names a content key and commits to it: a keyed hash that reveals nothing of it.
using ContentKeyId = FixedBytes<struct ContentKeyIdTag, 32>;

// Immutable, thread-safe. The subkeys live in secret memory (secret.h).
class ContentSeal {
 public:
  explicit ContentSeal(const ContentKey& key);
  const ContentKeyId& id() const { return id_; }

  // Seal is deterministic. `context` is authenticated, not stored.
  Bytes Seal(ByteView plain, ByteView context) const;
  // OpenInPlace decrypts within `box` and returns the part of it that is the text. kMalformed when
  // `box` is shorter than kAeadOverhead; kBadSignature (rule aead.forged) when key, box or
  // `context` differ in any bit: then `box` holds nothing of the text.
  Result<std::span<uint8_t>> OpenInPlace(std::span<uint8_t> box, ByteView context) const;

 private:
  AeadKey data_key_;
  Secret<32> nonce_key_;
  ContentKeyId id_;
};

}  // namespace sallyport::pki
