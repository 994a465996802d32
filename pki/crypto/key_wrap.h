// From a passphrase or a key file to the keys that encrypt others at rest: Argon2id -> master key
// -> crypto_kdf subkeys, one per label (architecture 5a, key-encryption key).
#pragma once

#include <cstdint>

#include "pki/crypto/aead.h"

namespace sallyport::pki {

// KdfParams are Argon2id's cost. The defaults are libsodium's "moderate" (3 passes, 256 MiB, about
// a second): a stolen disk costs its thief that much per guess. Tests pass kKdfForTests.
struct KdfParams {
  uint64_t passes = 3;
  uint64_t memory_bytes = 256ULL << 20;
  auto operator<=>(const KdfParams&) const = default;
};
constexpr KdfParams kKdfForTests{1, 8192};

using KdfSalt = FixedBytes<struct KdfSaltTag, 16>;

// A key file must hold at least this many bytes; a shorter one is a passphrase by another name.
constexpr size_t kKeyFileBytesMin = 32;

// UnlockSecret is what the person or the machine brings: a passphrase or the bytes of a key file.
class UnlockSecret {
 public:
  // kInvalidArgument when empty.
  static Result<UnlockSecret> FromPassphrase(std::string_view passphrase);
  // kInvalidArgument below kKeyFileBytesMin bytes.
  static Result<UnlockSecret> FromKeyFile(ByteView contents);
  ByteView view() const { return bytes_.view(); }

 private:
  explicit UnlockSecret(SecretBytes bytes) : bytes_(std::move(bytes)) {}
  SecretBytes bytes_;
};

// MasterKey wraps nothing itself; each use has its own subkey. Immutable, thread-safe.
class MasterKey {
 public:
  // Derive runs Argon2id. kInvalidArgument for parameters libsodium refuses, kUnavailable without
  // memory.
  static Result<MasterKey> Derive(const UnlockSecret& unlock, const KdfSalt& salt,
                                  const KdfParams& params);
  // Subkey is deterministic; `label` is a name of ours such as "sallyport/issuer-store/v1".
  AeadKey Subkey(std::string_view label) const;

 private:
  explicit MasterKey(Secret<32> key) : key_(std::move(key)) {}
  Secret<32> key_;
};

}  // namespace sallyport::pki
