// TrustedTime = the last time the server signed + the boot clock since (architecture 10). The wall
// clock neither slows leases nor advances windows. After a cold boot without the server it is
// unsure (docs/trusted-time.md).
#pragma once

#include <mutex>
#include <optional>

#include "pki/base/time.h"

namespace sallyport::device {

// BuildTime is the day this program was built: it cannot run earlier.
UnixTime BuildTime();

// TimeBound is what can be said against a certificate: it is `earliest` or later, and exactly that
// when `exact`.
struct TimeBound {
  UnixTime earliest;
  bool exact;
};

// TrustedTime is thread-safe.
class TrustedTime {
 public:
  // `floor` is the last signed time of earlier boots, or the build time: time never moves below it.
  // `estimate` is what the TPM's clock adds to it. It can be set ahead by the TPM's owner, so it
  // only makes things expire until the server is heard.
  TrustedTime(const Clock& clock, UnixTime floor, UnixTime estimate = {})
      : clock_(clock), floor_(floor), estimate_(estimate) {}

  // Learn takes a time the server signed. An earlier time than one already known is ignored; an
  // earlier one than a wall clock or a TPM's clock says is not.
  void Learn(UnixTime signed_time);

  struct Reading {
    UnixTime now;
    bool sure;            // false until the server was heard in this boot
    UnixTime floor = {};  // while unsure: the last signed time of earlier boots, or the build time
    // AtLeast judges what nobody may bring forward by setting a clock ahead: it is that late or
    // later.
    UnixTime AtLeast() const { return sure ? now : floor; }
  };
  // Now judges what expires: while unsure, the latest that any clock says.
  Reading Now() const;
  // Bound judges the server's own certificate, without which nothing can correct a clock: while
  // unsure, what was signed or built and nothing else.
  TimeBound Bound() const;

 private:
  struct Anchor {
    UnixTime time;
    Duration boot;
  };
  const Clock& clock_;
  const UnixTime floor_;
  const UnixTime estimate_;
  mutable std::mutex anchor_mutex_;  // guards anchor_
  std::optional<Anchor> anchor_;
};

}  // namespace sallyport::device
