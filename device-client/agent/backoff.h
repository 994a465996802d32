// Backoff: decorrelated jitter, so that a fleet that lost its server together does not come back
// together.
#pragma once

#include "pki/base/random.h"
#include "pki/base/time.h"

namespace sallyport::device {

inline constexpr Duration kBackoffMin = Seconds(1);
inline constexpr Duration kBackoffMax = Minutes(5);

// Backoff belongs to one thread.
class Backoff {
 public:
  // `max` below kBackoffMax is for fleets that accept the load (configuration `backoff_max`).
  Backoff(Random& random, Duration max) : random_(random), max_(max) {}

  // Next draws uniformly from [kBackoffMin, 3 * previous], at most `max`, and never below
  // `retry_after`, which the server asked for.
  Duration Next(Duration retry_after);
  // Reset after a success.
  void Reset() { previous_ = kBackoffMin; }

 private:
  Random& random_;
  const Duration max_;
  Duration previous_ = kBackoffMin;
};

}  // namespace sallyport::device
