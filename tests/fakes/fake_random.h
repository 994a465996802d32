// FakeRandom yields a repeatable byte sequence that differs from call to call.
#pragma once

#include "pki/base/random.h"

namespace sallyport {

class FakeRandom final : public Random {
 public:
  explicit FakeRandom(uint64_t seed = 1) : state_(seed) {}
  void Fill(std::span<uint8_t> out) override {
    for (uint8_t& byte : out) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      byte = static_cast<uint8_t>(state_ >> 56);
    }
  }

 private:
  uint64_t state_;
};

}  // namespace sallyport
