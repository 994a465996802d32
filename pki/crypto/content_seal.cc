#include "pki/crypto/content_seal.h"

#include <sodium.h>

namespace sallyport::pki {
namespace {

constexpr size_t kNonceSize = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr size_t kTagSize = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(kAeadOverhead == kNonceSize + kTagSize);
static_assert(ContentKey::kSize == crypto_kdf_KEYBYTES);

constexpr char kKdfContext[crypto_kdf_CONTEXTBYTES + 1] = "SPconten";
enum class Subkey : uint64_t { kData = 1, kNonce = 2, kId = 3 };

void Derive(const ContentKey& key, Subkey which, std::span<uint8_t> out) {
  SP_CHECK(crypto_kdf_derive_from_key(out.data(), out.size(), static_cast<uint64_t>(which),
                                      kKdfContext, key.view().data()) == 0);
}

Secret<32> DeriveSecret(const ContentKey& key, Subkey which) {
  SecretBytes bytes(Secret<32>::kSize);
  Derive(key, which, bytes.writable());
  return *Secret<32>::FromView(bytes.view());
}

ContentKeyId DeriveId(const ContentKey& key) {
  std::array<uint8_t, ContentKeyId::kSize> id;
  Derive(key, Subkey::kId, id);
  return ContentKeyId::FromArray(id);
}

// The length before the context keeps context and text apart.
void MakeNonce(const Secret<32>& key, ByteView context, ByteView plain, std::span<uint8_t> nonce) {
  const Bytes length = ByteWriter().BigU64(context.size()).bytes();
  crypto_generichash_state state;
  SP_CHECK(crypto_generichash_init(&state, key.view().data(), key.view().size(), nonce.size()) ==
           0);
  for (const ByteView part : {ByteView(length), context, plain})
    SP_CHECK(crypto_generichash_update(&state, part.data(), part.size()) == 0);
  SP_CHECK(crypto_generichash_final(&state, nonce.data(), nonce.size()) == 0);
  sodium_memzero(&state, sizeof(state));
}

}  // namespace

ContentSeal::ContentSeal(const ContentKey& key)
    : data_key_(DeriveSecret(key, Subkey::kData)),
      nonce_key_(DeriveSecret(key, Subkey::kNonce)),
      id_(DeriveId(key)) {}

Bytes ContentSeal::Seal(ByteView plain, ByteView context) const {
  Bytes box(plain.size() + kAeadOverhead);
  MakeNonce(nonce_key_, context, plain, std::span(box).first(kNonceSize));
  SP_CHECK(crypto_aead_xchacha20poly1305_ietf_encrypt(
               box.data() + kNonceSize, nullptr, plain.data(), plain.size(), context.data(),
               context.size(), nullptr, box.data(), data_key_.view().data()) == 0);
  return box;
}

Result<std::span<uint8_t>> ContentSeal::OpenInPlace(std::span<uint8_t> box,
                                                    ByteView context) const {
  if (box.size() < kAeadOverhead) return Error{Reason::kMalformed, "sealed content: truncated"};
  const std::span<uint8_t> text = box.subspan(kNonceSize, box.size() - kAeadOverhead);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
          text.data(), nullptr, text.data(), text.size(), text.data() + text.size(), context.data(),
          context.size(), box.data(), data_key_.view().data()) != 0)
    return Error{Reason::kBadSignature, "sealed content does not open", "aead.forged"};
  return text;
}

}  // namespace sallyport::pki
