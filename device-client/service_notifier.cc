#include "device-client/service_notifier.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "pki/base/log.h"
#include "pki/base/service_manager.h"

namespace sallyport::device {
namespace {

constexpr Duration kPeriodMin = Milliseconds(100);
constexpr int64_t kUsecPerMs = 1000;

}  // namespace

std::optional<Duration> WatchdogPeriod(std::string_view watchdog_usec) {
  int64_t usec = 0;
  const char* const end = watchdog_usec.data() + watchdog_usec.size();
  const auto read = std::from_chars(watchdog_usec.data(), end, usec);
  if (read.ec != std::errc() || read.ptr != end || usec <= 0) return std::nullopt;
  return std::max(kPeriodMin, Duration{usec / kUsecPerMs / 2});
}

ServiceNotifier::ServiceNotifier(ServiceManager manager, std::function<bool()> alive)
    : manager_(std::move(manager)), alive_(std::move(alive)) {
  Say("READY=1");
  const std::optional<Duration> period = WatchdogPeriod(manager_.watchdog_usec);
  if (period && !manager_.socket.empty()) thread_ = std::thread([this, period] { Run(*period); });
}

ServiceNotifier::~ServiceNotifier() {
  {
    const std::lock_guard lock(stop_mutex_);
    stopping_ = true;
    stop_changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  Say("STOPPING=1");
}

void ServiceNotifier::Run(Duration period) {
  std::unique_lock lock(stop_mutex_);
  while (!stopping_) {
    if (alive_()) Say("WATCHDOG=1");
    stop_changed_.wait_for(lock, std::chrono::milliseconds(period.ms),
                           [this] { return stopping_; });
  }
}

void ServiceNotifier::Say(std::string_view state) const {
  const Result<Unit> said = NotifyServiceManager(manager_.socket, state);
  if (!said)
    Log(LogLevel::kWarning, "service_manager_not_told", {{"reason", said.error().ToString()}});
}

}  // namespace sallyport::device
