// Watchdog is the machine's own during a trial: from its opening on it must be fed, or it resets
// the machine, and the firmware then starts the old slot. Linux watchdog API.
#pragma once

#include <string>

#include "device-client/enforce/socket.h"
#include "pki/base/result.h"

namespace sallyport::device {

// One thread at a time. The destructor closes the device without the magic character: a driver then
// goes on counting, so an agent that ended in a trial must come back in time.
class Watchdog {
 public:
  // `device` is empty for none: then Open succeeds, and the rest does nothing.
  explicit Watchdog(std::string device) : device_(std::move(device)) {}
  // Open starts it; again, it does nothing. kUnavailable, watchdog.open.
  Result<Unit> Open();
  // Feed: kUnavailable, watchdog.feed.
  Result<Unit> Feed();
  // Disarm stops it (magic character V) and closes it.
  void Disarm();

 private:
  const std::string device_;
  UniqueFd fd_;
};

}  // namespace sallyport::device
