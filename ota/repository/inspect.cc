#include "ota/repository/inspect.h"

#include "ota/metadata/limits.h"
#include "ota/metadata/release.h"
#include "ota/metadata/uptane.h"
#include "ota/repository/sign.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

JsonValue KeyIds(const RoleKeys& keys) { return JsonValue::Strings(keys.keyids()); }

JsonValue RoleJson(uint64_t version, UnixTime expires, const RoleKeys& keys, UnixTime now) {
  return JsonValue::Object({{"version", version},
                            {"expires", FormatRfc3339(expires)},
                            {"expired", expires <= now},
                            {"threshold", keys.threshold()},
                            {"keys", KeyIds(keys)}});
}

Result<UnixTime> ExpiresOf(const RepositoryFolder::Draft& draft) {
  SP_TRY(const std::string_view text, JsonCursor(draft.body).GetString("expires"));
  return ParseRfc3339(text);
}

Result<JsonValue> ReleasesJson(const RepositoryFolder& folder, const Targets& targets) {
  std::vector<JsonValue> out;
  for (const auto& [path, file] : targets.targets) {
    if (!path.ends_with("/release.json")) continue;
    SP_TRY(const Bytes json,
           ReadFile(folder.files(), folder.TargetFilePath(path, *file.digests.sha256()),
                    kReleaseSizeMax));
    SP_TRY(file.Check(json, path));
    SP_TRY(JsonValue release, InspectRelease(json));
    out.push_back(std::move(release));
  }
  return JsonValue::Array(std::move(out));
}

Result<JsonValue> StagedJson(const RepositoryFolder& folder, const Targets& targets) {
  std::vector<std::string> roles = {"root", "targets"};
  for (const Delegation& delegation : targets.delegations) roles.push_back(delegation.name);
  std::vector<JsonValue> out;
  for (const std::string& role : roles) {
    const auto status = StatusOf(folder, role);
    if (!status && status.error().reason == Reason::kNotFound) continue;
    if (!status) return status.error();
    out.push_back(JsonValue::Object({{"role", status->role},
                                     {"version", status->version},
                                     {"signatures", status->signatures},
                                     {"threshold", status->threshold},
                                     {"ready", status->ready}}));
  }
  return JsonValue::Array(std::move(out));
}

Result<JsonValue> PolicyJson(const RepositoryFolder& folder) {
  const auto draft = folder.Published(kPolicyRole);
  if (!draft) return JsonValue();
  SP_TRY(const Targets targets, DraftTargets(*draft));
  const TargetFile* file = targets.Find(kPolicyTargetPath);
  if (file == nullptr) return JsonValue();
  return JsonValue::Object(
      {{"sha256", HexEncode(*file->digests.sha256())}, {"length", file->length}});
}

}  // namespace

Result<JsonValue> InspectRelease(ByteView release_json) {
  SP_TRY(ParseRelease(release_json));
  SP_TRY(const JsonValue tree, ParseJson(AsText(release_json)));
  return WithMembers(tree, {{"digest", HexEncode(ReleaseDigestOf(release_json))}});
}

Result<JsonValue> InspectRepository(const RepositoryFolder& folder, UnixTime now) {
  SP_TRY(const auto root_draft, folder.Published("root"));
  SP_TRY(const Root root, DraftRoot(root_draft));
  std::vector<JsonMember> roles;
  for (const Role role : kTopRoles) {
    SP_TRY(const auto draft, folder.Published(RoleName(role)));
    SP_TRY(const UnixTime expires, ExpiresOf(draft));
    roles.push_back(
        {std::string(RoleName(role)), RoleJson(draft.version, expires, root.keys(role), now)});
  }
  SP_TRY(const auto targets_draft, folder.Published("targets"));
  SP_TRY(const Targets targets, DraftTargets(targets_draft));
  for (const Delegation& delegation : targets.delegations) {
    const auto draft = folder.Published(delegation.name);
    if (!draft) continue;
    SP_TRY(const UnixTime expires, ExpiresOf(*draft));
    roles.push_back({delegation.name, RoleJson(draft->version, expires, delegation.keys, now)});
  }
  SP_TRY(JsonValue releases, ReleasesJson(folder, targets));
  SP_TRY(JsonValue policy, PolicyJson(folder));
  SP_TRY(JsonValue staged, StagedJson(folder, targets));
  return JsonValue::Object(
      {{"roles", JsonValue::Object(std::move(roles))},
       {"development", root.profile && root.profile->development},
       {"trust_domain", root.profile ? root.profile->trust_domain : std::string()},
       {"releases", std::move(releases)},
       {"policy", std::move(policy)},
       {"staged", std::move(staged)}});
}

}  // namespace sallyport::ota
