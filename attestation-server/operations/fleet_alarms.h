// Alarms about devices that updates do not reach: an online device that stays behind its manifest
// (somebody freezes it, or it refuses what it is told), a device that says nothing for longer than
// its class may (somebody drops its requests), rollback floors that fell. In the log with what to
// do, as metrics, in `status` and in `device list`.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "attestation-server/director/manifests.h"
#include "attestation-server/store/database.h"
#include "pki/base/json.h"
#include "pki/base/log.h"

namespace sallyport::server {

struct FleetAlarmTerms {
  Duration lag;                                          // that an online device may be behind
  std::map<std::string, Duration, std::less<>> silence;  // by class: without contact
};

enum class FleetAlarm : uint8_t { kLagging, kSilent, kFloors };
constexpr std::string_view FleetAlarmName(FleetAlarm alarm) {
  switch (alarm) {
    case FleetAlarm::kLagging: return "lagging";
    case FleetAlarm::kSilent: return "silent";
    case FleetAlarm::kFloors: return "floors";
  }
  std::abort();
}

// FleetAlarms is thread-safe.
class FleetAlarms {
 public:
  struct Sources {
    Database& database;
    std::function<bool(const std::string& device_id)> is_online;
    // What the device shall obey; nothing when it is not known (no device asked since the start).
    std::function<std::optional<ManifestNews>(const std::string& device_id)> news;
  };
  // What an alarm does; called on the thread of Check.
  struct Outlets {
    std::function<void(LogLevel, std::string_view event, const std::string& device,
                       const std::string& text)>
        say;
    std::function<void(std::string_view alarm, size_t devices)> gauge;
  };
  FleetAlarms(Sources sources, FleetAlarmTerms terms, Outlets outlets)
      : sources_(std::move(sources)), terms_(std::move(terms)), outlets_(std::move(outlets)) {}

  // Check looks at every active device, says what is new, and repeats the rest once a day. When the
  // store cannot be read, that is said, and what was known stays.
  void Check(UnixTime now);
  // Json is the last check: {"lagging":{"devices":N,"first":[names]},...}.
  JsonValue Json() const;
  // Of is the gravest alarm of a device at the last check; empty: none.
  std::string_view Of(const std::string& device_id) const;

 private:
  struct Raised {
    FleetAlarm alarm;
    std::string name;
    std::string text;
    UnixTime said;
  };
  using Found = std::map<std::string, Raised, std::less<>>;  // by device id
  struct Contact;
  Result<Found> Look(UnixTime now) const;
  std::optional<Raised> Judge(const Contact& device, UnixTime now) const;
  void Say(Found& found, UnixTime now);

  const Sources sources_;
  const FleetAlarmTerms terms_;
  const Outlets outlets_;
  mutable std::mutex raised_mutex_;  // guards raised_
  Found raised_;
};

}  // namespace sallyport::server
