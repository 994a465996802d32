#include "ota/metadata/trusted_metadata.h"

#include <algorithm>
#include <set>

#include "ota/metadata/limits.h"

namespace sallyport::ota {
namespace {

std::string Text(uint64_t number) { return std::to_string(number); }

Error Refuse(Reason reason, std::string_view rule, std::string_view role, std::string_view why) {
  return Error{reason, std::string(role) + ": " + std::string(why), rule};
}

// Length and digest are checked before the bytes are parsed (TUF 5.5.2, 5.6.2).
Result<Unit> CheckFile(const MetaFile& file, ByteView bytes, std::string_view role) {
  if (file.length && *file.length != bytes.size())
    return Refuse(Reason::kMismatch, "tuf.length", role, "length differs");
  if (file.digests) SP_TRY(file.digests->Check(bytes, role));
  return Ok();
}

Result<Unit> CheckVersion(uint64_t listed, uint64_t actual, std::string_view role) {
  if (listed == actual) return Ok();
  return Refuse(Reason::kMismatch, "tuf.version-mismatch", role,
                "version " + Text(actual) + ", listed " + Text(listed));
}

}  // namespace

Result<Unit> TrustedMetadata::CheckExpiry(UnixTime expires, std::string_view role) const {
  if (expires > now_) return Ok();
  return Refuse(Reason::kExpired, "tuf.expired", role, "expired at " + FormatRfc3339(expires));
}

Result<Unit> TrustedMetadata::CheckProduct(const Root& root, const Root* previous) const {
  if (!rules_.product) return Ok();
  const ProductRules& rules = *rules_.product;
  if (!root.profile || root.profile->trust_domain != rules.trust_domain)
    return Refuse(Reason::kPolicyDenied, "tuf.profile", "root",
                  "not of trust domain " + rules.trust_domain);
  if (root.profile->development) {
    if (previous != nullptr && !previous->profile->development)
      return Refuse(Reason::kPolicyDenied, "tuf.development-switched", "root",
                    "development was not chosen at first");
    return Ok();
  }
  if (root.keys(Role::kRoot).threshold() < rules.root_threshold_min ||
      root.keys(Role::kTargets).threshold() < rules.targets_threshold_min)
    return Refuse(Reason::kPolicyDenied, "tuf.threshold-too-low", "root",
                  "allowed in development only");
  return Ok();
}

Result<TrustedMetadata> TrustedMetadata::Start(ByteView root, UnixTime now, MetadataRules rules) {
  SP_TRY(const SignedDocument document, SignedDocument::Parse(root, kRootSizeMax));
  SP_TRY(Root parsed, Root::Parse(document.TrustAnchor()));
  SP_TRY(document.Verify(parsed.keys(Role::kRoot), "root"));
  TrustedMetadata out(std::move(parsed), now, std::move(rules));
  SP_TRY(out.CheckProduct(out.root_, nullptr));
  return out;
}

Result<Unit> TrustedMetadata::AddRoot(ByteView root) {
  SP_CHECK(!roots_closed_);
  SP_TRY(const SignedDocument document, SignedDocument::Parse(root, kRootSizeMax));
  // 5.3.4: the threshold of the trusted root and that of the new root.
  SP_TRY(const VerifiedBody body,
         document.Verify(root_.keys(Role::kRoot), "root by the trusted root"));
  SP_TRY(Root next, Root::Parse(body));
  SP_TRY(document.Verify(next.keys(Role::kRoot), "root by itself"));
  // 5.3.5: exactly the next version.
  if (next.version != root_.version + 1) {
    return Refuse(Reason::kRollback, "tuf.version-not-next", "root",
                  "version " + Text(next.version) + " after " + Text(root_.version));
  }
  SP_TRY(CheckProduct(next, &root_));
  for (const Role role : {Role::kTimestamp, Role::kSnapshot})
    keys_rotated_ = keys_rotated_ || !root_.keys(role).KeptBy(next.keys(role));
  root_ = std::move(next);
  return Ok();
}

Result<TrustedMetadata::Change> TrustedMetadata::AddRootOfChain(ByteView root) {
  SP_TRY(const SignedDocument document, SignedDocument::Parse(root, kRootSizeMax));
  // The version is read before the signatures only to skip what cannot change anything.
  SP_TRY(const Root claimed, Root::Parse(document.TrustAnchor()));
  if (claimed.version <= root_.version) return Change::kUnchanged;
  SP_TRY(AddRoot(root));
  return Change::kNew;
}

Result<Unit> TrustedMetadata::CloseRoots() {
  SP_TRY(CheckExpiry(root_.expires, "root"));
  roots_closed_ = true;
  return Ok();
}

Result<Unit> TrustedMetadata::RestoreTimestamp(ByteView timestamp) {
  SP_CHECK(roots_closed_ && !timestamp_);
  if (keys_rotated_)
    return Refuse(Reason::kUntrusted, "tuf.keys-rotated", "timestamp",
                  "stored under keys that left");
  SP_TRY(const SignedDocument document, SignedDocument::Parse(timestamp, kTimestampSizeMax));
  SP_TRY(const VerifiedBody body, document.Verify(root_.keys(Role::kTimestamp), "timestamp"));
  SP_TRY(timestamp_, Timestamp::Parse(body));
  return Ok();
}

Result<Unit> TrustedMetadata::RestoreSnapshot(ByteView snapshot) {
  SP_CHECK(roots_closed_ && !snapshot_);
  if (keys_rotated_)
    return Refuse(Reason::kUntrusted, "tuf.keys-rotated", "snapshot",
                  "stored under keys that left");
  SP_TRY(const SignedDocument document, SignedDocument::Parse(snapshot, kSnapshotSizeMax));
  SP_TRY(const VerifiedBody body, document.Verify(root_.keys(Role::kSnapshot), "snapshot"));
  SP_TRY(snapshot_, Snapshot::Parse(body));
  return Ok();
}

Result<Unit> TrustedMetadata::CheckSame(const MetaFile& held, const MetaFile& next,
                                        std::string_view role) const {
  if (!rules_.equal_version_is_identical || held.version != next.version ||
      held.digests == next.digests)
    return Ok();
  return Refuse(Reason::kMismatch, "tuf.equal-version-differs", role,
                "two files of version " + Text(next.version));
}

Result<Unit> TrustedMetadata::CheckNotOlder(const Timestamp& next) const {
  if (!timestamp_) return Ok();
  if (next.version < timestamp_->version) {
    return Refuse(Reason::kRollback, "tuf.rollback", "timestamp",
                  "version " + Text(next.version) + " after " + Text(timestamp_->version));
  }
  if (next.version == timestamp_->version) {
    if (!rules_.equal_version_is_identical || next.body_digest == timestamp_->body_digest)
      return Ok();
    return Refuse(Reason::kMismatch, "tuf.equal-version-differs", "timestamp",
                  "version " + Text(next.version));
  }
  if (next.snapshot.version < timestamp_->snapshot.version) {
    return Refuse(
        Reason::kRollback, "tuf.snapshot-rollback", "timestamp",
        "snapshot " + Text(next.snapshot.version) + " after " + Text(timestamp_->snapshot.version));
  }
  return CheckSame(timestamp_->snapshot, next.snapshot, "snapshot");
}

Result<TrustedMetadata::Change> TrustedMetadata::AddTimestamp(ByteView timestamp) {
  SP_CHECK(roots_closed_ && !timestamp_current_);
  SP_TRY(const SignedDocument document, SignedDocument::Parse(timestamp, kTimestampSizeMax));
  SP_TRY(const VerifiedBody body, document.Verify(root_.keys(Role::kTimestamp), "timestamp"));
  SP_TRY(Timestamp next, Timestamp::Parse(body));
  SP_TRY(CheckNotOlder(next));
  // 5.4.3.1: an equal version is no news; the trusted one stays, and must still be alive.
  const bool unchanged = timestamp_ && timestamp_->version == next.version;
  SP_TRY(CheckExpiry(unchanged ? timestamp_->expires : next.expires, "timestamp"));
  if (!unchanged) timestamp_ = std::move(next);
  timestamp_current_ = true;
  return unchanged ? Change::kUnchanged : Change::kNew;
}

Result<Unit> TrustedMetadata::CheckNotOlder(const Snapshot& next) const {
  if (!snapshot_) return Ok();
  for (const auto& [role, held] : snapshot_->roles) {
    const MetaFile* file = next.Find(role);
    if (file == nullptr)
      return Refuse(Reason::kRollback, "tuf.removed-role", "snapshot", "no longer lists " + role);
    if (file->version < held.version) {
      return Refuse(Reason::kRollback, "tuf.targets-rollback", "snapshot",
                    role + " " + Text(file->version) + " after " + Text(held.version));
    }
    SP_TRY(CheckSame(held, *file, role));
  }
  return Ok();
}

Result<Unit> TrustedMetadata::AddSnapshot(ByteView snapshot) {
  SP_CHECK(timestamp_current_ && !snapshot_current_);
  SP_TRY(CheckFile(timestamp_->snapshot, snapshot, "snapshot"));
  SP_TRY(const SignedDocument document, SignedDocument::Parse(snapshot, kSnapshotSizeMax));
  SP_TRY(const VerifiedBody body, document.Verify(root_.keys(Role::kSnapshot), "snapshot"));
  SP_TRY(Snapshot next, Snapshot::Parse(body));
  SP_TRY(CheckVersion(timestamp_->snapshot.version, next.version, "snapshot"));
  SP_TRY(CheckNotOlder(next));
  SP_TRY(CheckExpiry(next.expires, "snapshot"));
  snapshot_ = std::move(next);
  snapshot_current_ = true;
  return Ok();
}

Result<Targets> TrustedMetadata::ReadTargets(ByteView bytes, const RoleKeys& keys,
                                             const std::string& name) const {
  const MetaFile* file = snapshot_->Find(name);
  if (file == nullptr)
    return Refuse(Reason::kUntrusted, "tuf.not-in-snapshot", name, "not listed by the snapshot");
  SP_TRY(CheckFile(*file, bytes, name));
  SP_TRY(const SignedDocument document, SignedDocument::Parse(bytes, kTargetsSizeMax));
  SP_TRY(const VerifiedBody body, document.Verify(keys, name));
  SP_TRY(Targets next, Targets::Parse(body));
  SP_TRY(CheckVersion(file->version, next.version, name));
  SP_TRY(CheckExpiry(next.expires, name));
  return next;
}

Result<Unit> TrustedMetadata::AddTargets(ByteView targets) {
  SP_CHECK(snapshot_current_);
  SP_TRY(Targets next, ReadTargets(targets, root_.keys(Role::kTargets), "targets"));
  targets_.insert_or_assign(RoleChain{"targets"}, std::move(next));
  return Ok();
}

Result<Unit> TrustedMetadata::AddDelegated(const RoleChain& chain, ByteView targets) {
  SP_CHECK(complete() && chain.size() > 1);
  const std::string& name = chain.back();
  const auto delegator = targets_.find(RoleChain(chain.begin(), chain.end() - 1));
  const Delegation* delegation =
      delegator == targets_.end() ? nullptr : delegator->second.FindDelegation(name);
  if (delegation == nullptr)
    return Refuse(Reason::kUntrusted, "tuf.not-delegated", name, "not delegated by its parent");
  const bool strict = rules_.product && !root_.profile->development;
  if (strict && delegation->keys.threshold() < rules_.product->delegated_threshold_min)
    return Refuse(Reason::kPolicyDenied, "tuf.threshold-too-low", name,
                  "allowed in development only");
  SP_TRY(Targets next, ReadTargets(targets, delegation->keys, name));
  targets_.insert_or_assign(chain, std::move(next));
  return Ok();
}

Result<TrustedMetadata::Search> TrustedMetadata::FindTarget(std::string_view path) const {
  SP_CHECK(complete());
  std::vector<RoleChain> to_visit = {{"targets"}};
  std::set<std::string> visited;
  while (!to_visit.empty()) {
    const RoleChain chain = std::move(to_visit.back());
    to_visit.pop_back();
    if (!visited.insert(chain.back()).second) continue;
    if (visited.size() > kDelegationsVisitedMax)
      return Error{Reason::kTooLarge, "more than " + Text(kDelegationsVisitedMax) + " roles",
                   "tuf.too-many-delegations"};
    const auto at = targets_.find(chain);
    if (at == targets_.end()) return Search(NeedRole{chain});
    if (const TargetFile* file = at->second.Find(path)) return Search(Found{file, chain.back()});
    std::vector<RoleChain> children;
    for (const Delegation& delegation : at->second.delegations) {
      if (!delegation.Matches(path)) continue;
      children.push_back(chain);
      children.back().push_back(delegation.name);
      if (delegation.terminating) {
        to_visit.clear();
        break;
      }
    }
    to_visit.insert(to_visit.end(), children.rbegin(), children.rend());
  }
  return Search(Absent{});
}

UnixTime TrustedMetadata::expires() const {
  return std::min({root_.expires, timestamp_->expires, snapshot_->expires, top().expires});
}

}  // namespace sallyport::ota
