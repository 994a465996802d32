// Secrets live in libsodium memory: guarded pages, locked, excluded from core dumps, wiped on
// release. No formatter, no operator==, no copy; comparison is constant-time only.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "pki/base/bytes.h"
#include "pki/base/random.h"

namespace sallyport::pki {

// SecretBytes owns bytes of any length; move-only. A moved-from object is empty. Not thread-safe
// while it is written; any number of threads may read. Aborts when no secure memory can be had.
class SecretBytes {
 public:
  explicit SecretBytes(size_t size);
  // Copies `bytes`; the caller wipes the source (WipeBytes).
  static SecretBytes CopyOf(ByteView bytes);
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  ~SecretBytes();

  // view borrows; never log or store it.
  ByteView view() const { return {data_, size_}; }
  std::span<uint8_t> writable() { return {data_, size_}; }
  size_t size() const { return size_; }
  // Matches compares in constant time; false when sizes differ.
  [[nodiscard]] bool Matches(ByteView other) const;

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Secret<N> is a secret of exactly N bytes.
template <size_t N>
class Secret {
 public:
  static constexpr size_t kSize = N;
  static Result<Secret> FromView(ByteView bytes) {
    if (bytes.size() != N) return Error{Reason::kMalformed, "secret of the wrong size"};
    return Secret(SecretBytes::CopyOf(bytes));
  }
  static Secret Generate(Random& random) {
    SecretBytes bytes(N);
    random.Fill(bytes.writable());
    return Secret(std::move(bytes));
  }
  std::span<const uint8_t, N> view() const {
    return std::span<const uint8_t, N>(bytes_.view().data(), N);
  }
  [[nodiscard]] bool Matches(ByteView other) const { return bytes_.Matches(other); }

 private:
  explicit Secret(SecretBytes bytes) : bytes_(std::move(bytes)) {}
  SecretBytes bytes_;
};

// WipeBytes overwrites memory in a way the compiler keeps.
void WipeBytes(std::span<uint8_t> bytes);

}  // namespace sallyport::pki
