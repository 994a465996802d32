// FloorCounters: the five numbers of this device that no reinstallation takes back, as NV counters
// of the TPM (docs/rollback.md). A counter of a TPM starts at the highest count the TPM ever held
// plus one, so an index written once and locked holds where each began: a floor is count - base.
#pragma once

#include <array>

#include "device-client/tpm/tpm.h"

namespace sallyport::device {

// FloorCounters is the seam; the real one is TpmFloorCounters. Thread-safe. Errors of all:
// kUnavailable (tpm.<command>); kNotFound, floor.missing (an index is not there, or was never
// finished); kMismatch, floor.foreign (an index that was defined otherwise than Make does, or
// counts below its base).
class FloorCounters {
 public:
  virtual ~FloorCounters() = default;
  // Make defines what is not there and seals the base. It finishes what a power cut left unfinished
  // and leaves sealed floors alone, also when one of their counters has gone.
  virtual Result<Unit> Make() = 0;
  virtual Result<FloorReading> Read() = 0;
  // Remake seals a new base, so that the floors are `floors` without a write per count; counters
  // that are gone are defined anew. kMismatch, floor.other-tpm: this TPM never counted so far.
  virtual Result<Unit> Remake(const FloorCounts& floors) = 0;
  // Increment is irreversible and wears the TPM.
  virtual Result<Unit> Increment(FloorCounter counter) = 0;
};

// TpmFloorCounters borrows `tpm`.
class TpmFloorCounters final : public FloorCounters {
 public:
  explicit TpmFloorCounters(Tpm& tpm) : tpm_(tpm) {}
  Result<Unit> Make() override { return tpm_.MakeFloorCounters(); }
  Result<FloorReading> Read() override { return tpm_.ReadFloorCounters(); }
  Result<Unit> Remake(const FloorCounts& floors) override {
    return tpm_.RemakeFloorCounters(floors);
  }
  Result<Unit> Increment(FloorCounter counter) override {
    return tpm_.IncrementFloorCounter(counter);
  }

 private:
  Tpm& tpm_;
};

}  // namespace sallyport::device
