#include "ota/repository/expiry.h"

namespace sallyport::ota {
namespace {

// Renewal is due when a third of the timestamp's day is left; later than this it has failed often.
constexpr Duration kOnlineLate = Hours(3);

Result<UnixTime> EndOf(const RepositoryFolder::Draft& draft) {
  SP_TRY(const std::string_view text, JsonCursor(draft.body).GetString("expires"));
  return ParseRfc3339(text);
}

ExpiryLevel OnlineLevelAt(UnixTime expires, UnixTime now) {
  if (expires <= now) return ExpiryLevel::kExpired;
  return expires - now < kOnlineLate ? ExpiryLevel::kCritical : ExpiryLevel::kQuiet;
}

constexpr std::string_view kOnlineRemedy =
    "the server renews it by itself: see online_roles_not_renewed in its log";

class Lister {
 public:
  Lister(const ExpiryAlarms& alarms, UnixTime now) : alarms_(alarms), now_(now) {}

  Result<Unit> Offline(const RepositoryFolder& folder, const std::string& role, std::string name,
                       std::string_view group, std::string remedy) {
    SP_TRY(const auto draft, folder.Published(role));
    SP_TRY(const UnixTime expires, EndOf(draft));
    const ExpiryLevel level = LevelAt(expires, now_, alarms_);
    if (level == ExpiryLevel::kQuiet) remedy.clear();
    roles.push_back({std::move(name), group, expires, level, std::move(remedy)});
    return Ok();
  }
  Result<Unit> Online(const RepositoryFolder& folder, std::string_view role) {
    SP_TRY(const auto draft, folder.Published(role));
    SP_TRY(const UnixTime expires, EndOf(draft));
    const ExpiryLevel level = OnlineLevelAt(expires, now_);
    roles.push_back({std::string(role), role, expires, level,
                     std::string(level == ExpiryLevel::kQuiet ? "" : kOnlineRemedy)});
    return Ok();
  }
  std::vector<RoleExpiry> roles;

 private:
  const ExpiryAlarms& alarms_;
  UnixTime now_;
};

std::string Renew(const std::string& role) {
  return "sallyport release renew --role " + role + ", sign and publish";
}

}  // namespace

ExpiryLevel LevelAt(UnixTime expires, UnixTime now, const ExpiryAlarms& alarms) {
  const Duration left = expires - now;
  if (expires <= now) return ExpiryLevel::kExpired;
  if (left <= alarms.critical) return ExpiryLevel::kCritical;
  if (left <= alarms.warning) return ExpiryLevel::kWarning;
  return left <= alarms.notice ? ExpiryLevel::kNotice : ExpiryLevel::kQuiet;
}

Result<std::vector<RoleExpiry>> ExpiriesOf(FileSystem& files, const std::string& repository,
                                           const ExpiryAlarms& alarms, UnixTime now) {
  const RepositoryFolder image(files, repository);
  const RepositoryFolder director = RepositoryFolder::Director(files, repository);
  Lister list(alarms, now);
  SP_TRY(list.Offline(image, "root", "root", "root", "sallyport release root, sign and publish"));
  SP_TRY(list.Offline(image, "targets", "targets", "targets", Renew("targets")));
  SP_TRY(const auto targets_draft, image.Published("targets"));
  SP_TRY(const Targets targets, DraftTargets(targets_draft));
  for (const Delegation& delegation : targets.delegations) {
    const auto listed =
        list.Offline(image, delegation.name, delegation.name, "delegated", Renew(delegation.name));
    // Delegated, and nothing published yet.
    if (!listed && listed.error().reason != Reason::kNotFound) return listed.error();
  }
  SP_TRY(list.Online(image, "snapshot"));
  SP_TRY(list.Online(image, "timestamp"));
  SP_TRY(list.Offline(director, "root", "director-root", "director-root",
                      "sallyport release root --director, sign and publish, then restart"));
  return std::move(list.roles);
}

}  // namespace sallyport::ota
