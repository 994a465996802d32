// Public keys that verify and private keys that sign. One key type, one signature format each:
// ECDSA P-256 with SHA-256 and P-384 with SHA-384 (DER Ecdsa-Sig-Value, r and s in [1, n-1]),
// RSASSA-PKCS1-v1_5 and RSASSA-PSS (salt = digest size) with SHA-256, Ed25519 (64 bytes).
#pragma once

#include <memory>
#include <string>

#include "pki/base/digest.h"
#include "pki/crypto/hash.h"

namespace sallyport::pki {

enum class KeyType : uint8_t { kP256, kP384, kRsa, kEd25519 };
enum class SignatureScheme : uint8_t { kEcdsa, kRsaPkcs1, kRsaPss, kEd25519 };

// PublicKey is a decoded key, cheap to copy, immutable, thread-safe.
class PublicKey {
 public:
  // FromSpki parses exactly one DER SubjectPublicKeyInfo. kMalformed; kUnsupported for other key
  // types, RSA below 2048 or above 4096 bits, points not on the curve.
  static Result<PublicKey> FromSpki(ByteView der);
  static Result<PublicKey> FromPem(std::string_view pem);
  // FromP256Point takes affine coordinates of 32 bytes each (left-padded). kMalformed off the
  // curve.
  static Result<PublicKey> FromP256Point(ByteView x, ByteView y);
  static Result<PublicKey> FromP384Point(ByteView x, ByteView y);
  // FromRsa takes a big-endian modulus of 2048..4096 bits.
  static Result<PublicKey> FromRsa(ByteView modulus, uint32_t exponent);
  static Result<PublicKey> FromEd25519(ByteView key);

  KeyType type() const;
  unsigned bits() const;
  // spki is the canonical DER SubjectPublicKeyInfo.
  const Bytes& spki() const;
  std::string ToPem() const;
  // native is OpenSSL's EVP_PKEY*, borrowed; for pki/ only.
  void* native() const;

  // Verify returns kBadSignature unless `signature` is `scheme` over `message` by this key,
  // kUnsupported when the scheme does not fit the key. `hash` is ignored for Ed25519.
  Result<Unit> Verify(SignatureScheme scheme, HashAlgorithm hash, ByteView message,
                      ByteView signature) const;
  // VerifyDigest is Verify for a message of which only the digest is known: kEcdsa and kRsaPkcs1.
  // kMalformed unless `digest` has the size of `hash`.
  Result<Unit> VerifyDigest(SignatureScheme scheme, HashAlgorithm hash, ByteView digest,
                            ByteView signature) const;
  // Verify with the one default scheme of the key type (ECDSA with its curve's hash, PSS for RSA,
  // Ed25519).
  Result<Unit> Verify(ByteView message, ByteView signature) const;

 private:
  struct State;
  explicit PublicKey(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  friend class PrivateKey;
  std::shared_ptr<const State> state_;
};

// PrivateKey is a software key. Never exported but by SealedPem. Thread-safe.
class PrivateKey {
 public:
  // Generate makes kP256 or kEd25519 (or kRsa: 2048 bits, kP384).
  static Result<PrivateKey> Generate(KeyType type);
  // FromPem parses PKCS#8 PEM; `passphrase` for an encrypted one, empty otherwise. kBadSignature
  // when the passphrase is wrong, kMalformed otherwise.
  static Result<PrivateKey> FromPem(std::string_view pem, std::string_view passphrase);
  // SealedPem writes PKCS#8 PEM, encrypted (PBKDF2, AES-256-CBC) unless `passphrase` is empty.
  Result<std::string> SealedPem(std::string_view passphrase) const;
  // FromNative takes over one reference of an EVP_PKEY*; for pki/ only.
  static Result<PrivateKey> FromNative(void* evp_pkey);

  const PublicKey& public_key() const { return public_; }
  // Sign uses the key type's default scheme (see PublicKey::Verify).
  Result<Bytes> Sign(ByteView message) const;
  void* native() const;

 private:
  explicit PrivateKey(PublicKey key) : public_(std::move(key)) {}
  PublicKey public_;
};

}  // namespace sallyport::pki
