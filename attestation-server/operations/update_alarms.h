// Alarms before update metadata ends: what people must sign is announced weeks ahead, a failing
// renewal of the server's own roles at once; in the log with what to do, as metrics, and in
// `status`.
#pragma once

#include <functional>
#include <map>
#include <mutex>

#include "ota/repository/expiry.h"
#include "pki/base/json.h"
#include "pki/base/log.h"

namespace sallyport::server {

// UpdateAlarms is thread-safe.
class UpdateAlarms {
 public:
  // What an alarm does; both are called on the thread of Check.
  struct Outlets {
    // A line of the log.
    std::function<void(LogLevel, std::string_view event, const std::string& role,
                       const std::string& text)>
        say;
    // Remaining life of the role of `group` that ends first; negative once it has ended.
    std::function<void(std::string_view group, Duration left)> gauge;
  };
  UpdateAlarms(FileSystem& files, std::string repository, ota::ExpiryAlarms alarms, Outlets outlets)
      : files_(files),
        repository_(std::move(repository)),
        alarms_(alarms),
        outlets_(std::move(outlets)) {}

  // Check says what has become more urgent, and repeats the rest once a day.
  void Check(UnixTime now);
  // Json lists every role: {"role","expires","level","remedy"}, or {"error"} when the repository
  // cannot be read: no news is never good news.
  JsonValue Json(UnixTime now) const;

 private:
  struct Said {
    ota::ExpiryLevel level = ota::ExpiryLevel::kQuiet;
    UnixTime at;
  };
  void Say(const ota::RoleExpiry& role, UnixTime now);

  FileSystem& files_;
  const std::string repository_;
  const ota::ExpiryAlarms alarms_;
  const Outlets outlets_;
  std::mutex said_mutex_;
  std::map<std::string, Said> said_;  // guarded by said_mutex_
};

}  // namespace sallyport::server
