// FakeFloorCounters: NV counters as a TPM keeps them. They begin at the highest count ever held
// plus one, and only Undefine takes them away.
#pragma once

#include <algorithm>
#include <functional>

#include "device-client/tpm/floor_counters.h"

namespace sallyport::device {

class FakeFloorCounters final : public FloorCounters {
 public:
  Result<Unit> Make() override {
    if (failure) return *failure;
    if (made) return Ok();
    for (uint64_t& count : counts) {
      count = ++highest;
      ++writes;
    }
    base = counts;
    made = true;
    return Ok();
  }
  Result<FloorReading> Read() override {
    if (failure) return *failure;
    if (!made) return Error{Reason::kNotFound, "injected", "floor.missing"};
    FloorReading out;
    for (size_t i = 0; i < kFloorCounters; ++i) {
      out.floors[i] = counts[i] - base[i];
      out.base.push_back(static_cast<uint8_t>(base[i]));
    }
    return out;
  }
  Result<Unit> Remake(const FloorCounts& floors) override {
    if (!made) SP_TRY(Make());
    base = counts;
    for (size_t i = 0; i < kFloorCounters; ++i) {
      if (floors[i] > base[i]) {
        made = false;
        return Error{Reason::kMismatch, "injected", "floor.other-tpm"};
      }
      base[i] -= floors[i];
    }
    return Ok();
  }
  Result<Unit> Increment(FloorCounter counter) override {
    if (on_increment) on_increment();
    if (failure) return *failure;
    if (increments_left == 0) return Error{Reason::kUnavailable, "injected", "tpm.nv-increment"};
    --increments_left;
    ++writes;
    highest = std::max(highest, ++counts[static_cast<size_t>(counter)]);
    return Ok();
  }
  // Undefine is TPM2_Clear, or TPM2_NV_UndefineSpace of them all.
  void Undefine() { made = false; }

  std::function<void()> on_increment;
  std::optional<Error> failure;
  uint64_t increments_left = UINT64_MAX;
  uint64_t writes = 0;
  uint64_t highest = 52;
  bool made = false;
  FloorCounts counts{};
  FloorCounts base{};
};

}  // namespace sallyport::device
