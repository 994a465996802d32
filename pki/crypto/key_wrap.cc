#include "pki/crypto/key_wrap.h"

#include <sodium.h>

#include "pki/crypto/hash.h"

namespace sallyport::pki {
namespace {

static_assert(KdfSalt::kSize == crypto_pwhash_argon2id_SALTBYTES);
static_assert(Secret<32>::kSize == crypto_kdf_KEYBYTES);
static_assert(kKdfForTests.memory_bytes >= crypto_pwhash_argon2id_MEMLIMIT_MIN);
static_assert(KdfParams{}.passes == crypto_pwhash_argon2id_OPSLIMIT_MODERATE);
static_assert(KdfParams{}.memory_bytes == crypto_pwhash_argon2id_MEMLIMIT_MODERATE);

// A corrupt parameter file must not take the machine's memory.
constexpr uint64_t kKdfMemoryMax = 2ULL << 30;
constexpr uint64_t kKdfPassesMax = 64;

}  // namespace

Result<UnlockSecret> UnlockSecret::FromPassphrase(std::string_view passphrase) {
  if (passphrase.empty()) return Error{Reason::kInvalidArgument, "empty passphrase"};
  return UnlockSecret(SecretBytes::CopyOf(AsBytes(passphrase)));
}

Result<UnlockSecret> UnlockSecret::FromKeyFile(ByteView contents) {
  if (contents.size() < kKeyFileBytesMin)
    return Error{Reason::kInvalidArgument,
                 "key file is shorter than " + std::to_string(kKeyFileBytesMin) + " bytes"};
  return UnlockSecret(SecretBytes::CopyOf(contents));
}

Result<MasterKey> MasterKey::Derive(const UnlockSecret& unlock, const KdfSalt& salt,
                                    const KdfParams& params) {
  if (params.passes < crypto_pwhash_argon2id_OPSLIMIT_MIN || params.passes > kKdfPassesMax ||
      params.memory_bytes < crypto_pwhash_argon2id_MEMLIMIT_MIN ||
      params.memory_bytes > kKdfMemoryMax)
    return Error{Reason::kInvalidArgument, "argon2id parameters out of range"};
  SecretBytes key(Secret<32>::kSize);
  if (crypto_pwhash_argon2id(
          key.writable().data(), key.size(), reinterpret_cast<const char*>(unlock.view().data()),
          unlock.view().size(), salt.view().data(), params.passes,
          static_cast<size_t>(params.memory_bytes), crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
    return Error{Reason::kUnavailable, "argon2id: not enough memory"};
  SP_TRY(Secret<32> secret, Secret<32>::FromView(key.view()));
  return MasterKey(std::move(secret));
}

AeadKey MasterKey::Subkey(std::string_view label) const {
  // crypto_kdf takes a 64-bit id and 8 bytes of context: both come from the label's hash.
  const Sha256Digest hash = LabelledDigest("sallyport/subkey/v1", {AsBytes(label)});
  uint64_t id = 0;
  for (size_t i = 0; i < 8; ++i) id = id << 8 | hash.array()[i];
  std::array<char, crypto_kdf_CONTEXTBYTES> context;
  std::copy_n(hash.array().begin() + 8, context.size(), context.begin());
  SecretBytes key(AeadKey::kSize);
  SP_CHECK(crypto_kdf_derive_from_key(key.writable().data(), key.size(), id, context.data(),
                                      key_.view().data()) == 0);
  return *AeadKey::FromView(key.view());
}

}  // namespace sallyport::pki
