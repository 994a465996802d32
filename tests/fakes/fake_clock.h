// FakeClock tells any time you want. Wall and boot time move only when told.
#pragma once

#include "pki/base/time.h"

namespace sallyport {

class FakeClock final : public Clock {
 public:
  explicit FakeClock(UnixTime wall) : wall_(wall) {}
  UnixTime Wall() const override { return wall_; }
  Duration Boot() const override { return boot_; }
  // Advance moves both clocks.
  void Advance(Duration by) {
    wall_ = wall_ + by;
    boot_.ms += by.ms;
  }
  // JumpWall moves the wall clock only.
  void JumpWall(UnixTime to) { wall_ = to; }

 private:
  UnixTime wall_;
  Duration boot_{0};
};

}  // namespace sallyport
