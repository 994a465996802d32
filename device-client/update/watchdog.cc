#include "device-client/update/watchdog.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "pki/base/log.h"

namespace sallyport::device {
namespace {

constexpr char kFood = '\0';
constexpr char kMagic = 'V';  // Documentation/watchdog/watchdog-api.rst

}  // namespace

Result<Unit> Watchdog::Open() {
  if (device_.empty() || fd_.valid()) return Unit{};
  fd_.Reset(::open(device_.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd_.valid()) return Unit{};
  return Error{Reason::kUnavailable, device_ + ": " + std::strerror(errno), "watchdog.open"};
}

Result<Unit> Watchdog::Feed() {
  if (!fd_.valid() || ::write(fd_.get(), &kFood, 1) == 1) return Unit{};
  return Error{Reason::kUnavailable, device_ + ": " + std::strerror(errno), "watchdog.feed"};
}

void Watchdog::Disarm() {
  if (!fd_.valid()) return;
  if (::write(fd_.get(), &kMagic, 1) != 1)
    Log(LogLevel::kError, "watchdog_not_disarmed", {{"device", device_}});
  fd_.Reset();
}

}  // namespace sallyport::device
