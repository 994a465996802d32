#include "pki/crypto/aead.h"

#include <sodium.h>

namespace sallyport::pki {
namespace {

constexpr size_t kNonceSize = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
static_assert(kAeadOverhead == kNonceSize + crypto_aead_xchacha20poly1305_ietf_ABYTES);
static_assert(AeadKey::kSize == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

Error Truncated() { return Error{Reason::kMalformed, "sealed box: truncated"}; }

Result<Unit> Open(const AeadKey& key, ByteView box, ByteView associated, std::span<uint8_t> plain) {
  const ByteView sealed = box.subspan(kNonceSize);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          plain.data(), nullptr, nullptr, sealed.data(), sealed.size(), associated.data(),
          associated.size(), box.data(), key.view().data()) != 0)
    return Error{Reason::kBadSignature, "sealed box does not open", "aead.forged"};
  return Unit{};
}

}  // namespace

Bytes AeadSeal(const AeadKey& key, ByteView plain, ByteView associated, Random& random) {
  Bytes box(plain.size() + kAeadOverhead);
  random.Fill(std::span(box).first(kNonceSize));
  unsigned long long size = 0;
  SP_CHECK(crypto_aead_xchacha20poly1305_ietf_encrypt(
               box.data() + kNonceSize, &size, plain.data(), plain.size(), associated.data(),
               associated.size(), nullptr, box.data(), key.view().data()) == 0);
  SP_CHECK(size + kNonceSize == box.size());
  return box;
}

Result<SecretBytes> AeadOpen(const AeadKey& key, ByteView box, ByteView associated) {
  if (box.size() < kAeadOverhead) return Truncated();
  SecretBytes plain(box.size() - kAeadOverhead);
  SP_TRY(Open(key, box, associated, plain.writable()));
  return plain;
}

Result<Bytes> AeadOpenPlain(const AeadKey& key, ByteView box, ByteView associated) {
  if (box.size() < kAeadOverhead) return Truncated();
  Bytes plain(box.size() - kAeadOverhead);
  SP_TRY(Open(key, box, associated, plain));
  return plain;
}

}  // namespace sallyport::pki
