#include "attestation-server/service_manager.h"

#include <cstdlib>

#include "pki/base/service_manager.h"

namespace sallyport::server {

void NotifyReady() {
  const char* const socket = std::getenv("NOTIFY_SOCKET");
  if (socket != nullptr && !NotifyServiceManager(socket, "READY=1"))
    Log(LogLevel::kWarning, "readiness_not_told");
}

StopSignal::StopSignal() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void StopSignal::Wait() {
  int signal = 0;
  while (sigwait(&signals_, &signal) != 0) {
  }
}

LogLevel LogLevelOf(std::string_view word) {
  if (word == "debug") return LogLevel::kDebug;
  if (word == "warning") return LogLevel::kWarning;
  if (word == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

}  // namespace sallyport::server
