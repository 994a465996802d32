#include "attestation-server/operations/update_alarms.h"

namespace sallyport::server {
namespace {

constexpr Duration kRepeatEvery = Hours(24);

LogLevel LogLevelOf(ota::ExpiryLevel level) {
  switch (level) {
    case ota::ExpiryLevel::kQuiet:
    case ota::ExpiryLevel::kNotice: return LogLevel::kInfo;
    case ota::ExpiryLevel::kWarning: return LogLevel::kWarning;
    case ota::ExpiryLevel::kCritical:
    case ota::ExpiryLevel::kExpired: return LogLevel::kError;
  }
  std::abort();
}

}  // namespace

void UpdateAlarms::Say(const ota::RoleExpiry& role, UnixTime now) {
  {
    const std::lock_guard lock(said_mutex_);
    Said& said = said_[role.role];
    const bool due = role.level > said.level ||
                     (role.level != ota::ExpiryLevel::kQuiet && now - said.at >= kRepeatEvery);
    if (!due) {
      said.level = role.level;
      return;
    }
    said = {role.level, now};
  }
  outlets_.say(LogLevelOf(role.level), "update_role_ends", role.role,
               "ends at " + FormatRfc3339(role.expires) + "; " + role.remedy);
}

void UpdateAlarms::Check(UnixTime now) {
  const auto roles = ota::ExpiriesOf(files_, repository_, alarms_, now);
  if (!roles)
    return outlets_.say(LogLevel::kError, "update_roles_unreadable", "", roles.error().ToString());
  std::map<std::string_view, UnixTime> first;
  for (const ota::RoleExpiry& role : *roles) {
    const auto [at, fresh] = first.emplace(role.group, role.expires);
    if (!fresh) at->second = std::min(at->second, role.expires);
    Say(role, now);
  }
  for (const auto& [group, expires] : first) outlets_.gauge(group, expires - now);
}

JsonValue UpdateAlarms::Json(UnixTime now) const {
  const auto roles = ota::ExpiriesOf(files_, repository_, alarms_, now);
  if (!roles) return JsonValue::Object({{"error", roles.error().ToString()}});
  std::vector<JsonValue> out;
  for (const ota::RoleExpiry& role : *roles)
    out.push_back(JsonValue::Object({{"role", role.role},
                                     {"expires", FormatRfc3339(role.expires)},
                                     {"level", ota::ExpiryLevelName(role.level)},
                                     {"remedy", role.remedy}}));
  return JsonValue::Array(std::move(out));
}

}  // namespace sallyport::server
