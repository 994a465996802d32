// What a service manager and a service tell each other: ready, and stop.
#pragma once

#include <csignal>
#include <string_view>

#include "pki/base/log.h"

namespace sallyport::server {

// NotifyReady tells systemd (NOTIFY_SOCKET) that the service is up; nothing happens without one.
void NotifyReady();

// StopSignal blocks SIGINT and SIGTERM for the process from its construction on; Wait returns at
// the first one.
class StopSignal {
 public:
  StopSignal();
  void Wait();

 private:
  sigset_t signals_;
};

// LogLevelOf maps the words of the configuration.
LogLevel LogLevelOf(std::string_view word);

}  // namespace sallyport::server
