// When the roles of a repository end, and how loudly to say so: an offline role takes people days
// to renew, so the alarm comes weeks before devices refuse everything.
#pragma once

#include "ota/repository/folder.h"

namespace sallyport::ota {

// ExpiryAlarms are the remaining lifetimes at which an alarm is raised, in falling order.
struct ExpiryAlarms {
  Duration notice = Days(30);
  Duration warning = Days(14);
  Duration critical = Days(3);
};

enum class ExpiryLevel : uint8_t { kQuiet, kNotice, kWarning, kCritical, kExpired };
constexpr std::string_view ExpiryLevelName(ExpiryLevel level) {
  switch (level) {
    case ExpiryLevel::kQuiet: return "quiet";
    case ExpiryLevel::kNotice: return "notice";
    case ExpiryLevel::kWarning: return "warning";
    case ExpiryLevel::kCritical: return "critical";
    case ExpiryLevel::kExpired: return "expired";
  }
  std::abort();
}

struct RoleExpiry {
  std::string role;        // `director-root` for the director's, else the name of the role
  std::string_view group;  // root, targets, delegated, snapshot, timestamp, director-root
  UnixTime expires;
  ExpiryLevel level;
  std::string remedy;  // the command that renews it; empty while quiet
};

// LevelAt is pure. A role that ends now has ended.
ExpiryLevel LevelAt(UnixTime expires, UnixTime now, const ExpiryAlarms& alarms);

// ExpiriesOf lists the published roles of the image repository, those that targets delegates, and
// the director's root. Online roles live for hours or days, so only their end is an alarm:
// kCritical when less than an eighth of the timestamp's day is left, which means that their renewal
// fails.
Result<std::vector<RoleExpiry>> ExpiriesOf(FileSystem& files, const std::string& repository,
                                           const ExpiryAlarms& alarms, UnixTime now);

}  // namespace sallyport::ota
