// Token buckets per key, in a map of bounded size. Time is a parameter.
#pragma once

#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "pki/base/time.h"

namespace sallyport::server {

struct BucketRate {
  double per_second = 1;
  double burst = 1;
};

// RateLimits of the enrol listener. A site behind one NAT address restarts as a whole: the source
// bucket must let a site of some hundred devices in within a minute; the EK bucket stops one device
// from looping.
struct RateLimits {
  BucketRate per_source{50, 500};
  BucketRate per_ek{0.2, 10};
  BucketRate refusal_audit{20, 200};  // refusals of strangers that are written to the audit
};

// RateLimiter is thread-safe. When the map is full the key used longest ago is dropped.
class RateLimiter {
 public:
  RateLimiter(BucketRate rate, size_t keys_max) : rate_(rate), keys_max_(keys_max) {}
  // Spend uses one token of `key` and returns zero, or uses none and returns how long to wait for
  // the next.
  [[nodiscard]] Duration Spend(std::string_view key, UnixTime now);

 private:
  struct Bucket {
    std::string key;
    double tokens;
    UnixTime refilled_at;
  };
  double Refill(Bucket& bucket, UnixTime now) const;

  const BucketRate rate_;
  const size_t keys_max_;
  std::mutex buckets_mutex_;
  std::list<Bucket> buckets_;  // newest use first; guarded by buckets_mutex_
  std::unordered_map<std::string_view, std::list<Bucket>::iterator> by_key_;
};

}  // namespace sallyport::server
