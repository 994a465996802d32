// Hashes and MACs. Algorithms are fetched once per process; contexts are reused per thread.
#pragma once

#include <initializer_list>
#include <memory>

#include "pki/base/digest.h"

namespace sallyport::pki {

// HashAlgorithm carries the TPM algorithm id as its value. SHA-1 is not here on purpose.
enum class HashAlgorithm : uint16_t { kSha256 = 0x000B, kSha384 = 0x000C, kSha512 = 0x000D };

constexpr size_t DigestSize(HashAlgorithm algorithm) {
  switch (algorithm) {
    case HashAlgorithm::kSha256: return 32;
    case HashAlgorithm::kSha384: return 48;
    case HashAlgorithm::kSha512: return 64;
  }
  std::abort();
}
constexpr std::string_view HashName(HashAlgorithm algorithm) {
  switch (algorithm) {
    case HashAlgorithm::kSha256: return "sha256";
    case HashAlgorithm::kSha384: return "sha384";
    case HashAlgorithm::kSha512: return "sha512";
  }
  std::abort();
}

// Sha256 hashes the concatenation of `parts`.
Sha256Digest Sha256(std::initializer_list<ByteView> parts);
inline Sha256Digest Sha256(ByteView bytes) { return Sha256({bytes}); }
// Hash hashes the concatenation of `parts` with `algorithm`.
Bytes Hash(HashAlgorithm algorithm, std::initializer_list<ByteView> parts);

// Hasher hashes a stream; one thread at a time. Finish may be called once.
class Hasher {
 public:
  explicit Hasher(HashAlgorithm algorithm);
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  ~Hasher();
  Hasher& Update(ByteView bytes);
  Bytes Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Sha256Digest HmacSha256(ByteView key, std::initializer_list<ByteView> parts);

// ConstantTimeEqual: false when sizes differ.
[[nodiscard]] bool ConstantTimeEqual(ByteView a, ByteView b);

// LabelledDigest = SHA-256(label || 0x00 || parts...): the domain separation of architecture 5a.
Sha256Digest LabelledDigest(std::string_view label, std::initializer_list<ByteView> parts);

}  // namespace sallyport::pki
