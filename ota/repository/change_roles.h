// Changing who may sign: the next root (keys and thresholds of the top-level roles, in the image or
// the director repository) and the roles that targets delegates to teams. Everything here only
// stages; people sign and publish (sign.h, publish.h).
#pragma once

#include "ota/repository/folder.h"

namespace sallyport::ota {

struct RoleChange {
  Role role;
  std::vector<pki::PublicKey> add;
  std::vector<std::string> remove;  // key ids
  std::optional<size_t> threshold;  // unchanged when absent
};

// StageRoot stages version N+1 of the published root, or changes the root that is staged, and drops
// its signatures. No change is a renewal. kNotFound, rule root.unknown-key, for a key to remove
// that the role does not have; kInvalidArgument, rules root.threshold-unreachable (fewer keys than
// the threshold, or a threshold of 0), root.key-in-two-roles (one key, one role).
Result<Unit> StageRoot(RepositoryFolder& folder, const std::vector<RoleChange>& changes,
                       UnixTime expires);

// PublishDirectorRoot makes the staged root of the director final; a running server takes it up at
// its next start. The rules of Publish, and kNotFound without a draft.
Result<uint64_t> PublishDirectorRoot(RepositoryFolder& director, const std::string& trust_domain,
                                     UnixTime now);

// SerialLimits bound the bundles that a role for offline media may make (bundle.h).
struct SerialLimits {
  uint64_t min;
  uint64_t max;
};

struct TeamRole {
  std::string name;
  RoleSpec role;
  std::vector<std::string> paths;  // TUF patterns; `*` and `?` never match `/`
  bool terminating = true;
  std::optional<SerialLimits> serials = {};
};

// StageDelegation puts the role, or its new form, into a draft of targets, behind the roles that
// are there. kInvalidArgument: rules delegation.name (`[a-z0-9][a-z0-9._-]*`, at most 64),
// delegation.paths (none, absolute, with `..`, or reaching into policy/ or another role's paths
// word for word), delegation.threshold, delegation.policy (the role policy belongs to the ceremony
// that founded the repository), delegation.serials.
Result<Unit> StageDelegation(RepositoryFolder& folder, const TeamRole& team, UnixTime expires);
// StageUndelegation takes the role out. kNotFound, rule delegation.unknown.
Result<Unit> StageUndelegation(RepositoryFolder& folder, std::string_view name, UnixTime expires);

// StageTeamFile puts one file into the draft of a delegated role; its metadata needs signatures of
// the role's keys. kPolicyDenied, rule delegation.foreign-path, when the role may not speak for
// `path`; kAlreadyExists as StageTargets.
Result<Unit> StageTeamFile(RepositoryFolder& folder, std::string_view role, const std::string& path,
                           ByteView content, UnixTime expires);

}  // namespace sallyport::ota
