// MonotonicFloor: a number that survives reinstallation and never falls, so that an old release
// stays refused. Only hardware can promise that (TPM NV counters: device-client/update), so there
// is no implementation in a file.
#pragma once

#include "pki/base/result.h"

namespace sallyport::ota {

// A counter is raised one NV write at a time: 1,024 of them take a slow TPM under a minute.
// Releases count their security fixes in the rollback index; dates do not fit.
inline constexpr uint64_t kFloorRaiseMax = 1024;

class MonotonicFloor {
 public:
  virtual ~MonotonicFloor() = default;
  virtual Result<uint64_t> Read() = 0;
  // Raise is irreversible; a lower value than the current one changes nothing. kPolicyDenied,
  // floor.jump, when it is more than kFloorRaiseMax away.
  virtual Result<Unit> Raise(uint64_t value) = 0;
};

}  // namespace sallyport::ota
