// The client workflow of TUF 1.0 (section 5) as a pure state machine: bytes in, trust or a named
// refusal out. One value is one update cycle at one fixed time. The shell (client.h) fetches and
// stores.
//
// Order: Start, AddRoot*, CloseRoots, [RestoreTimestamp, RestoreSnapshot], AddTimestamp,
// AddSnapshot, AddTargets, then FindTarget and AddDelegated. Calls out of order abort: they are
// programmer's errors.
//
// Refusals (rule): tuf.threshold kBadSignature; tuf.version-not-next, tuf.rollback,
// tuf.snapshot-rollback, tuf.targets-rollback, tuf.removed-role kRollback; tuf.expired kExpired;
// tuf.length, tuf.digest, tuf.version-mismatch, tuf.equal-version-differs kMismatch;
// tuf.not-delegated, tuf.not-in-snapshot, tuf.keys-rotated kUntrusted; tuf.too-many-delegations
// kTooLarge; tuf.profile, tuf.threshold-too-low, tuf.development-switched kPolicyDenied; and those
// of document.h and roles.h.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ota/metadata/roles.h"

namespace sallyport::ota {

// ProductRules are what our own repositories promise beyond TUF; absent for a plain TUF repository.
struct ProductRules {
  std::string trust_domain;
  // Smallest thresholds, waived when the root says `development`.
  size_t root_threshold_min = 2;
  size_t targets_threshold_min = 2;
  size_t delegated_threshold_min = 2;
};

struct MetadataRules {
  // Two documents of one version must be one statement. TUF 5.4.3 only asks to ignore the second.
  bool equal_version_is_identical = true;
  std::optional<ProductRules> product = {};
};

class TrustedMetadata {
 public:
  enum class Change : uint8_t { kNew, kUnchanged };
  struct Found {
    const TargetFile* file;  // borrowed from the TrustedMetadata
    std::string role;
  };
  // RoleChain names a role by all roles that lead to it, `targets` first: two delegators may name
  // one role and give it different keys, and must not vouch for each other.
  using RoleChain = std::vector<std::string>;
  struct NeedRole {
    RoleChain chain;
  };
  struct Absent {};
  using Search = std::variant<Found, NeedRole, Absent>;

  // Start trusts `root`, whose bytes came out of band or from our own store, if it signs itself.
  // `now` is the time of every expiry check of this cycle (TUF 5.1).
  static Result<TrustedMetadata> Start(ByteView root, UnixTime now, MetadataRules rules);

  // AddRoot takes exactly version N+1, signed by the thresholds of N and of itself (TUF 5.3).
  Result<Unit> AddRoot(ByteView root);
  // AddRootOfChain is AddRoot for a chain that may start before what is held: a version not above
  // the trusted one changes nothing (kUnchanged).
  Result<Change> AddRootOfChain(ByteView root);
  // CloseRoots checks that the last root is not expired. Its predecessors may be.
  Result<Unit> CloseRoots();
  // keys_rotated: a timestamp or snapshot key left since Start, so what was stored under them must
  // be dropped (fast-forward recovery, TUF 5.3.11).
  bool keys_rotated() const { return keys_rotated_; }

  // Restore* take what an earlier cycle stored, expired or not, as the floor against rollback.
  Result<Unit> RestoreTimestamp(ByteView timestamp);
  Result<Unit> RestoreSnapshot(ByteView snapshot);

  Result<Change> AddTimestamp(ByteView timestamp);
  Result<Unit> AddSnapshot(ByteView snapshot);
  Result<Unit> AddTargets(ByteView targets);
  // AddDelegated takes the last role of `chain` as its predecessor delegated it (TUF 5.6.7). From
  // NeedRole.
  Result<Unit> AddDelegated(const RoleChain& chain, ByteView targets);

  // FindTarget walks the delegations pre-order, honours `terminating`, and says which role must be
  // added first when one is missing.
  Result<Search> FindTarget(std::string_view path) const;

  UnixTime now() const { return now_; }
  const Root& root() const { return root_; }
  // Valid after the Add or Restore of that role.
  const Timestamp& timestamp() const { return *timestamp_; }
  const Snapshot& snapshot() const { return *snapshot_; }
  // top is the top-level targets role; valid after AddTargets.
  const Targets& top() const { return targets_.at(RoleChain{"targets"}); }
  bool complete() const { return targets_.contains(RoleChain{"targets"}); }
  // expires is when the first of root, timestamp, snapshot and targets ends. Valid when complete.
  UnixTime expires() const;

 private:
  TrustedMetadata(Root root, UnixTime now, MetadataRules rules)
      : root_(std::move(root)), now_(now), rules_(std::move(rules)) {}
  Result<Unit> CheckExpiry(UnixTime expires, std::string_view role) const;
  Result<Unit> CheckProduct(const Root& root, const Root* previous) const;
  Result<Unit> CheckNotOlder(const Timestamp& next) const;
  Result<Unit> CheckNotOlder(const Snapshot& next) const;
  Result<Unit> CheckSame(const MetaFile& held, const MetaFile& next, std::string_view role) const;
  Result<Targets> ReadTargets(ByteView bytes, const RoleKeys& keys, const std::string& name) const;

  Root root_;
  UnixTime now_;
  MetadataRules rules_;
  bool keys_rotated_ = false;
  bool roots_closed_ = false;
  bool timestamp_current_ = false;
  bool snapshot_current_ = false;
  std::optional<Timestamp> timestamp_;
  std::optional<Snapshot> snapshot_;
  std::map<RoleChain, Targets> targets_;
};

}  // namespace sallyport::ota
