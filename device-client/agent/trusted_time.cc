#include "device-client/agent/trusted_time.h"

#include <algorithm>

namespace sallyport::device {

UnixTime BuildTime() { return UnixTime::FromSeconds(SALLYPORT_BUILD_SECONDS); }

void TrustedTime::Learn(UnixTime signed_time) {
  const UnixTime held = Now().now;
  const std::lock_guard lock(anchor_mutex_);
  if (signed_time < floor_ || (anchor_ && signed_time <= held)) return;
  anchor_ = Anchor{signed_time, clock_.Boot()};
}

TrustedTime::Reading TrustedTime::Now() const {
  const std::lock_guard lock(anchor_mutex_);
  if (!anchor_) return {std::max({floor_, estimate_, clock_.Wall()}), false, floor_};
  return {anchor_->time + Duration{clock_.Boot().ms - anchor_->boot.ms}, true, floor_};
}

TimeBound TrustedTime::Bound() const {
  const Reading reading = Now();
  return reading.sure ? TimeBound{reading.now, true} : TimeBound{floor_, false};
}

}  // namespace sallyport::device
