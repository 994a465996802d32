// What a program tells its service manager (sd_notify(3)): one datagram to the socket that
// NOTIFY_SOCKET names.
#pragma once

#include <string>
#include <string_view>

#include "pki/base/result.h"

namespace sallyport {

// NotifyServiceManager sends `state`, such as "READY=1" or "WATCHDOG=1". An empty `socket` is no
// service manager, and no error. kInvalidArgument for a name that is too long, kUnavailable.
// Thread-safe.
Result<Unit> NotifyServiceManager(const std::string& socket, std::string_view state);

}  // namespace sallyport
