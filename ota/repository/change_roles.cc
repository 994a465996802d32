#include "ota/repository/change_roles.h"

#include <algorithm>

#include "ota/metadata/release.h"
#include "ota/metadata/trusted_metadata.h"
#include "ota/metadata/uptane.h"
#include "ota/repository/review.h"

namespace sallyport::ota {
namespace {

Error Wrong(std::string_view rule, std::string why) {
  return Error{Reason::kInvalidArgument, std::move(why), rule};
}

Result<RepositoryFolder::Draft> Base(const RepositoryFolder& folder, std::string_view role) {
  auto staged = folder.Staged(role);
  if (staged || staged.error().reason != Reason::kNotFound) return staged;
  return folder.Published(role);
}

RoleSpec SpecOf(const RoleKeys& keys) {
  RoleSpec out{{}, keys.threshold()};
  for (const std::string& id : keys.keyids())
    if (const pki::PublicKey* key = keys.Find(id)) out.keys.push_back(*key);
  return out;
}

Result<Unit> CheckThreshold(const RoleSpec& role, std::string_view name, std::string_view rule) {
  if (role.threshold >= 1 && role.keys.size() >= role.threshold) return Ok();
  return Wrong(rule, std::string(name) + ": " + std::to_string(role.keys.size()) +
                         " keys cannot give " + std::to_string(role.threshold) + " signatures");
}

Result<Unit> Apply(const RoleChange& change, RoleSpec& role) {
  for (const std::string& id : change.remove) {
    const auto removed =
        std::erase_if(role.keys, [&](const pki::PublicKey& key) { return KeyId(key) == id; });
    if (removed == 0)
      return Error{Reason::kNotFound, std::string(RoleName(change.role)) + " has no key " + id,
                   "root.unknown-key"};
  }
  for (const pki::PublicKey& key : change.add) {
    const std::string id = KeyId(key);
    const bool there = std::ranges::any_of(
        role.keys, [&](const pki::PublicKey& held) { return KeyId(held) == id; });
    if (!there) role.keys.push_back(key);
  }
  role.threshold = change.threshold.value_or(role.threshold);
  return CheckThreshold(role, RoleName(change.role), "root.threshold-unreachable");
}

Result<Unit> CheckOneRolePerKey(const std::vector<RoleSpec>& roles) {
  std::set<std::string> seen;
  for (const RoleSpec& role : roles) {
    for (const pki::PublicKey& key : role.keys)
      if (!seen.insert(KeyId(key)).second)
        return Wrong("root.key-in-two-roles", "key " + KeyId(key) + " would have two roles");
  }
  return Ok();
}

std::vector<DelegationSpec> DelegationsOf(const Targets& targets) {
  std::vector<DelegationSpec> out;
  for (const Delegation& delegation : targets.delegations) {
    const auto* patterns = std::get_if<Delegation::Patterns>(&delegation.paths);
    out.push_back({delegation.name, SpecOf(delegation.keys),
                   patterns == nullptr ? std::vector<std::string>{} : patterns->globs,
                   delegation.terminating});
  }
  return out;
}

bool IsPathPattern(std::string_view pattern) {
  if (pattern.empty() || pattern.front() == '/' || pattern.size() > 256) return false;
  if (("/" + std::string(pattern) + "/").find("/../") != std::string::npos) return false;
  return std::ranges::all_of(pattern, [](char c) { return c > ' ' && c < 127; });
}

Result<Unit> CheckPaths(const TeamRole& team, const std::vector<DelegationSpec>& others) {
  if (team.paths.empty()) return Wrong("delegation.paths", "a team needs a path pattern");
  for (const std::string& pattern : team.paths) {
    if (!IsPathPattern(pattern)) return Wrong("delegation.paths", "pattern " + pattern);
    if (GlobMatches(pattern, kPolicyTargetPath))
      return Wrong("delegation.paths", pattern + " reaches into the policy");
    for (const DelegationSpec& other : others)
      if (other.name != team.name && std::ranges::count(other.paths, pattern) > 0)
        return Wrong("delegation.paths", pattern + " belongs to " + other.name);
  }
  return Ok();
}

Result<Unit> CheckTeam(const TeamRole& team, const std::vector<DelegationSpec>& others) {
  const bool reserved =
      std::ranges::any_of(kTopRoles, [&](Role role) { return RoleName(role) == team.name; });
  if (!IsProductName(team.name) || reserved) return Wrong("delegation.name", "role " + team.name);
  if (team.name == kPolicyRole)
    return Wrong("delegation.policy", "the policy role is not a team's");
  SP_TRY(CheckThreshold(team.role, team.name, "delegation.threshold"));
  if (team.serials && (team.serials->min < 1 || team.serials->max < team.serials->min))
    return Wrong("delegation.serials", "serials are from 1 on and the first is not above the last");
  return CheckPaths(team, others);
}

// WithSerials writes the limits of `name` into the `sallyport` member of targets, or takes them
// out.
JsonValue WithSerials(const JsonValue& body, std::string_view name,
                      const std::optional<SerialLimits>& limits) {
  std::vector<JsonMember> bundles;
  const JsonValue* held = body.Find("sallyport");
  const JsonValue* list = held == nullptr ? nullptr : held->Find("bundles");
  if (list != nullptr && list->if_object() != nullptr) {
    for (const JsonMember& member : *list->if_object())
      if (member.key != name) bundles.push_back(member);
  }
  if (limits)
    bundles.push_back({std::string(name), JsonValue::Object({{"serial_min", limits->min},
                                                             {"serial_max", limits->max}})});
  if (held == nullptr && bundles.empty()) return body;
  const JsonValue statement = WithMembers(held == nullptr ? JsonValue::Object({}) : *held,
                                          {{"bundles", JsonValue::Object(std::move(bundles))}});
  return WithMembers(body, {{"sallyport", statement}});
}

struct TargetsDraft {
  JsonValue body;
  std::vector<DelegationSpec> delegations;
};

// NextTargets is the draft of targets that is staged, or the next version of what is published.
Result<TargetsDraft> NextTargets(const RepositoryFolder& folder, UnixTime expires) {
  SP_TRY(const auto published, folder.Published("targets"));
  SP_TRY(const auto base, Base(folder, "targets"));
  SP_TRY(const Targets targets, DraftTargets(base));
  return TargetsDraft{WithMembers(base.body, {{"version", published.version + 1},
                                              {"expires", FormatRfc3339(expires)}}),
                      DelegationsOf(targets)};
}

}  // namespace

Result<Unit> StageRoot(RepositoryFolder& folder, const std::vector<RoleChange>& changes,
                       UnixTime expires) {
  SP_TRY(const auto published, folder.Published("root"));
  SP_TRY(const auto base, Base(folder, "root"));
  SP_TRY(const Root root, DraftRoot(base));
  if (!root.profile) return Wrong("root.profile", "not a root of ours");
  std::vector<RoleSpec> roles;
  for (const Role role : kTopRoles) roles.push_back(SpecOf(root.keys(role)));
  for (const RoleChange& change : changes)
    SP_TRY(Apply(change, roles[static_cast<size_t>(change.role)]));
  SP_TRY(CheckOneRolePerKey(roles));
  const auto spec = [&](Role role) { return roles[static_cast<size_t>(role)]; };
  return folder.StageBody("root", RootBody({.version = published.version + 1,
                                            .expires = expires,
                                            .profile = *root.profile,
                                            .root = spec(Role::kRoot),
                                            .timestamp = spec(Role::kTimestamp),
                                            .snapshot = spec(Role::kSnapshot),
                                            .targets = spec(Role::kTargets)}));
}

Result<uint64_t> PublishDirectorRoot(RepositoryFolder& director, const std::string& trust_domain,
                                     UnixTime now) {
  SP_TRY(const auto draft, director.Staged("root"));
  SP_TRY(CheckNextVersion(director, "root", draft));
  SP_TRY(const auto held, director.Published("root"));
  SP_TRY(TrustedMetadata device,
         TrustedMetadata::Start(held.bytes, now, DirectorRules(trust_domain)));
  if (draft.version != held.version) SP_TRY(device.AddRoot(draft.bytes));
  SP_TRY(device.CloseRoots());
  SP_TRY(director.Publish("root", draft.version, draft.bytes));
  SP_TRY(director.Unstage("root"));
  return draft.version;
}

Result<Unit> StageDelegation(RepositoryFolder& folder, const TeamRole& team, UnixTime expires) {
  SP_TRY(TargetsDraft next, NextTargets(folder, expires));
  SP_TRY(CheckTeam(team, next.delegations));
  const DelegationSpec spec{team.name, team.role, team.paths, team.terminating};
  const auto at = std::ranges::find(next.delegations, team.name, &DelegationSpec::name);
  if (at == next.delegations.end())
    next.delegations.push_back(spec);
  else
    *at = spec;
  const JsonValue body = WithSerials(next.body, team.name, team.serials);
  return folder.StageBody("targets",
                          WithMembers(body, {{"delegations", DelegationsJson(next.delegations)}}));
}

Result<Unit> StageUndelegation(RepositoryFolder& folder, std::string_view name, UnixTime expires) {
  SP_TRY(TargetsDraft next, NextTargets(folder, expires));
  if (name == kPolicyRole) return Wrong("delegation.policy", "the policy role is not a team's");
  if (std::erase_if(next.delegations, [&](const auto& held) { return held.name == name; }) == 0)
    return Error{Reason::kNotFound, "no role " + std::string(name), "delegation.unknown"};
  const JsonValue body = WithSerials(next.body, name, std::nullopt);
  return folder.StageBody("targets",
                          WithMembers(body, {{"delegations", DelegationsJson(next.delegations)}}));
}

Result<Unit> StageTeamFile(RepositoryFolder& folder, std::string_view role, const std::string& path,
                           ByteView content, UnixTime expires) {
  SP_TRY(const auto base, Base(folder, "targets"));
  SP_TRY(const Targets targets, DraftTargets(base));
  const Delegation* delegation = targets.FindDelegation(role);
  if (delegation == nullptr)
    return Error{Reason::kNotFound, "no role " + std::string(role), "delegation.unknown"};
  if (!IsPathPattern(path) || path.find_first_of("*?\\") != std::string::npos ||
      !delegation->Matches(path))
    return Error{Reason::kPolicyDenied, std::string(role) + " may not sign " + path,
                 "delegation.foreign-path"};
  SP_TRY(TargetFile file, folder.AddTarget(path, content));
  return folder.StageTargets(role, {{path, std::move(file)}}, expires, /*replace=*/true);
}

}  // namespace sallyport::ota
