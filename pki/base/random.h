// Random is the seam for randomness; SystemRandom is the kernel's CSPRNG.
#pragma once

#include <array>
#include <span>

#include "pki/base/bytes.h"

namespace sallyport {

// Random: thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(std::span<uint8_t> out) = 0;

  template <typename Fixed>
  Fixed Next() {
    std::array<uint8_t, Fixed::kSize> bytes;
    Fill(bytes);
    return Fixed::FromArray(bytes);
  }
};

// SystemRandom aborts when the kernel gives no randomness. Constructed in composition roots only.
class SystemRandom final : public Random {
 public:
  void Fill(std::span<uint8_t> out) override;
};

}  // namespace sallyport
