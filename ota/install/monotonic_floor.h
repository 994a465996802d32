// MonotonicFloor: a number that survives reinstallation and never falls, so that an old release
// stays refused. Only hardware can promise that (a TPM NV counter), so there is no implementation
// in a file; until one exists the installer runs without a floor and metadata versions alone stop
// rollback.
#pragma once

#include "pki/base/result.h"

namespace sallyport::ota {

class MonotonicFloor {
 public:
  virtual ~MonotonicFloor() = default;
  virtual Result<uint64_t> Read() = 0;
  // Raise is irreversible; a lower value than the current one changes nothing.
  virtual Result<Unit> Raise(uint64_t value) = 0;
};

}  // namespace sallyport::ota
