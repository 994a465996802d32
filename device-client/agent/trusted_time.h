// TrustedTime = the last time the server signed + the boot clock since (architecture 10). The wall
// clock neither slows leases nor advances windows. After a cold boot without the server it is
// unsure.
#pragma once

#include <mutex>
#include <optional>

#include "pki/base/time.h"

namespace sallyport::device {

// TrustedTime is thread-safe.
class TrustedTime {
 public:
  // `floor` is the last signed time of earlier boots: time never moves below it.
  TrustedTime(const Clock& clock, UnixTime floor) : clock_(clock), floor_(floor) {}

  // Learn takes a time the server signed. An earlier time than one already known is ignored.
  void Learn(UnixTime signed_time);

  struct Reading {
    UnixTime now;
    bool sure;  // false until the server was heard in this boot
  };
  Reading Now() const;

 private:
  struct Anchor {
    UnixTime time;
    Duration boot;
  };
  const Clock& clock_;
  const UnixTime floor_;
  mutable std::mutex anchor_mutex_;  // guards anchor_
  std::optional<Anchor> anchor_;
};

}  // namespace sallyport::device
