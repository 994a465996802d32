#include "pki/crypto/secret.h"

#include <sodium.h>

#include <utility>

namespace sallyport::pki {
namespace {

uint8_t* Allocate(size_t size) {
  static const bool ready = sodium_init() >= 0;
  SP_CHECK(ready);
  void* const memory = sodium_malloc(size);
  SP_CHECK(memory != nullptr);
  return static_cast<uint8_t*>(memory);
}

}  // namespace

SecretBytes::SecretBytes(size_t size) : data_(Allocate(size)), size_(size) {}

SecretBytes SecretBytes::CopyOf(ByteView bytes) {
  SecretBytes out(bytes.size());
  std::ranges::copy(bytes, out.data_);
  return out;
}

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

SecretBytes::~SecretBytes() { sodium_free(data_); }

bool SecretBytes::Matches(ByteView other) const {
  return other.size() == size_ && sodium_memcmp(data_, other.data(), size_) == 0;
}

void WipeBytes(std::span<uint8_t> bytes) { sodium_memzero(bytes.data(), bytes.size()); }

}  // namespace sallyport::pki
