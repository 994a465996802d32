#include "attestation-server/enrolment/rate_limit.h"

#include <algorithm>
#include <cmath>

namespace sallyport::server {

double RateLimiter::Refill(Bucket& bucket, UnixTime now) const {
  // A clock that jumps back refills nothing and is followed.
  const double seconds =
      std::max<double>(0, static_cast<double>((now - bucket.refilled_at).ms) / 1000);
  bucket.tokens = std::min(rate_.burst, bucket.tokens + seconds * rate_.per_second);
  bucket.refilled_at = now;
  return bucket.tokens;
}

Duration RateLimiter::Spend(std::string_view key, UnixTime now) {
  const std::lock_guard lock(buckets_mutex_);
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    buckets_.splice(buckets_.begin(), buckets_, found->second);
  } else {
    if (buckets_.size() >= keys_max_) {
      by_key_.erase(buckets_.back().key);
      buckets_.pop_back();
    }
    buckets_.push_front({std::string(key), rate_.burst, now});
    by_key_.emplace(buckets_.front().key, buckets_.begin());
  }
  Bucket& bucket = buckets_.front();
  if (Refill(bucket, now) < 1)
    return Milliseconds(std::llround(std::ceil((1 - bucket.tokens) / rate_.per_second * 1000)));
  bucket.tokens -= 1;
  return Duration{};
}

}  // namespace sallyport::server
