// ServiceNotifier tells systemd that the agent is up, and while it lives that it does
// (sd_notify(3), WatchdogSec= of the unit).
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "pki/base/time.h"

namespace sallyport::device {

struct ServiceManager {
  std::string socket;         // NOTIFY_SOCKET; empty: none
  std::string watchdog_usec;  // WATCHDOG_USEC as it stands there; empty: none
};

// WatchdogPeriod is half of what the service manager waits, at least 100ms; nothing for a text that
// is no positive number.
std::optional<Duration> WatchdogPeriod(std::string_view watchdog_usec);

// Says READY=1 in its constructor, WATCHDOG=1 every period in which `alive` is true, and STOPPING=1
// in its destructor.
class ServiceNotifier {
 public:
  ServiceNotifier(ServiceManager manager, std::function<bool()> alive);
  ~ServiceNotifier();
  ServiceNotifier(const ServiceNotifier&) = delete;
  ServiceNotifier& operator=(const ServiceNotifier&) = delete;

 private:
  void Run(Duration period);
  void Say(std::string_view state) const;

  const ServiceManager manager_;
  const std::function<bool()> alive_;
  std::mutex stop_mutex_;  // guards stopping_
  std::condition_variable stop_changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sallyport::device
