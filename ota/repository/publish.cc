#include "ota/repository/publish.h"

#include "ota/metadata/limits.h"
#include "ota/metadata/trusted_metadata.h"
#include "ota/metadata/uptane.h"
#include "ota/repository/review.h"

namespace sallyport::ota {
namespace {

using Draft = RepositoryFolder::Draft;

// Edition is one state of the repository: what will be published with what is published already.
struct Edition {
  std::optional<Draft> new_root;
  Draft root;
  Draft targets;
  std::map<std::string, Draft, std::less<>> delegated;
  std::vector<std::string> staged;  // roles whose draft becomes final
};

// Ready returns the staged draft when it has its signatures, nullopt when there is none.
Result<std::optional<Draft>> Ready(const RepositoryFolder& folder, const std::string& role) {
  auto draft = folder.Staged(role);
  if (!draft && draft.error().reason == Reason::kNotFound) return std::optional<Draft>();
  if (!draft) return draft.error();
  SP_TRY(CheckNextVersion(folder, role, *draft));
  SP_TRY(const SigningStatus status, StatusOf(folder, role));
  if (status.ready) return std::optional<Draft>(*std::move(draft));
  return Error{Reason::kPolicyDenied,
               role + ": " + std::to_string(status.signatures) + " of " +
                   std::to_string(status.threshold) + " signatures",
               "repository.threshold"};
}

enum class Drafts : uint8_t { kTake, kLeave };

Result<Draft> Take(const RepositoryFolder& folder, const std::string& role, Drafts drafts,
                   Edition& edition) {
  if (drafts == Drafts::kLeave) return folder.Published(role);
  SP_TRY(auto ready, Ready(folder, role));
  if (!ready) return folder.Published(role);
  edition.staged.push_back(role);
  return *std::move(ready);
}

Result<Edition> Collect(const RepositoryFolder& folder, Drafts drafts) {
  Edition out;
  SP_TRY(out.root, Take(folder, "root", drafts, out));
  if (!out.staged.empty()) out.new_root = out.root;
  SP_TRY(out.targets, Take(folder, "targets", drafts, out));
  SP_TRY(const Targets targets, DraftTargets(out.targets));
  for (const Delegation& delegation : targets.delegations) {
    auto draft = Take(folder, delegation.name, drafts, out);
    if (!draft && draft.error().reason == Reason::kNotFound)
      continue;  // delegated, nothing published yet
    if (!draft) return draft.error();
    out.delegated.emplace(delegation.name, *std::move(draft));
  }
  return out;
}

// EndOf is the expiry of a published document; the beginning of time when it has none.
UnixTime EndOf(const Draft& draft) {
  const auto text = JsonCursor(draft.body).GetString("expires");
  const auto expires = ParseRfc3339(text ? *text : std::string_view());
  return expires ? *expires : UnixTime{};
}

// KeepListed adds the roles that `snapshot` lists and nobody delegates to any more: a snapshot
// never drops a role (TUF 5.5.5), or devices would take its successor for a rollback.
Result<Unit> KeepListed(const Draft& snapshot,
                        std::map<std::string, MetaFile, std::less<>>& roles) {
  SP_TRY(const SignedDocument document, SignedDocument::Parse(snapshot.bytes, kSnapshotSizeMax));
  SP_TRY(Snapshot held, Snapshot::Parse(document.TrustAnchor()));
  roles.merge(held.roles);
  return Ok();
}

struct Online {
  uint64_t snapshot_version;
  Bytes snapshot;
  bool new_snapshot;
  Bytes timestamp;
};

Result<Online> SignOnline(const RepositoryFolder& folder, const Edition& edition,
                          const OnlineKeys& keys, const OnlineLifetimes& lifetimes, UnixTime now) {
  std::map<std::string, MetaFile, std::less<>> roles;
  roles.emplace("targets", MetaFileOf(edition.targets.version, edition.targets.bytes));
  for (const auto& [name, draft] : edition.delegated)
    roles.emplace(name, MetaFileOf(draft.version, draft.bytes));
  const auto held = folder.Published("snapshot");
  if (held) SP_TRY(KeepListed(*held, roles));
  const auto held_timestamp = folder.Published("timestamp");
  Online out{held ? held->version : 0, held ? held->bytes : Bytes{}, false, {}};
  const bool fresh = held && EndOf(*held) - now > Duration{lifetimes.snapshot.ms / 2};
  if (!edition.staged.empty() || !fresh) {
    out.new_snapshot = true;
    ++out.snapshot_version;
    SP_TRY(out.snapshot,
           WriteSigned(SnapshotBody(out.snapshot_version, now + lifetimes.snapshot, roles),
                       {&keys.snapshot}));
  }
  const uint64_t timestamp_version = held_timestamp ? held_timestamp->version + 1 : 1;
  const MetaFile snapshot = MetaFileOf(out.snapshot_version, out.snapshot);
  SP_TRY(out.timestamp,
         WriteSigned(TimestampBody(timestamp_version, now + lifetimes.timestamp, snapshot),
                     {&keys.timestamp}));
  return out;
}

// Rehearse takes the edition as a device does that holds what is published now.
Result<Unit> Rehearse(const RepositoryFolder& folder, const Edition& edition, const Online& online,
                      const std::string& trust_domain, UnixTime now) {
  const auto held_root = folder.Published("root");
  const Bytes& start = held_root ? held_root->bytes : edition.root.bytes;
  SP_TRY(TrustedMetadata device, TrustedMetadata::Start(start, now, ImageRules(trust_domain)));
  if (held_root && edition.new_root) SP_TRY(device.AddRoot(edition.new_root->bytes));
  SP_TRY(device.CloseRoots());
  if (!device.keys_rotated()) {
    if (const auto held = folder.Published("timestamp"))
      SP_TRY(device.RestoreTimestamp(held->bytes));
    if (const auto held = folder.Published("snapshot")) SP_TRY(device.RestoreSnapshot(held->bytes));
  }
  SP_TRY(device.AddTimestamp(online.timestamp));
  SP_TRY(device.AddSnapshot(online.snapshot));
  SP_TRY(device.AddTargets(edition.targets.bytes));
  for (const auto& [name, draft] : edition.delegated)
    SP_TRY(device.AddDelegated({"targets", name}, draft.bytes));
  return Ok();
}

// Write puts the timestamp last: until then devices see the edition before.
Result<PublishReport> Write(RepositoryFolder& folder, const Edition& edition,
                            const Online& online) {
  PublishReport report;
  const auto publish = [&](const std::string& role, uint64_t version,
                           ByteView bytes) -> Result<Unit> {
    report.published.push_back(std::to_string(version) + "." + role + ".json");
    return folder.Publish(role, version, bytes);
  };
  for (const std::string& role : edition.staged) {
    const Draft& draft = role == "root"      ? edition.root
                         : role == "targets" ? edition.targets
                                             : edition.delegated.at(role);
    SP_TRY(publish(role, draft.version, draft.bytes));
  }
  if (online.new_snapshot) SP_TRY(publish("snapshot", online.snapshot_version, online.snapshot));
  SP_TRY(folder.PublishTimestamp(online.timestamp));
  report.published.push_back("timestamp.json");
  for (const std::string& role : edition.staged) SP_TRY(folder.Unstage(role));
  return report;
}

}  // namespace

namespace {

Result<PublishReport> Bring(RepositoryFolder& folder, Drafts drafts,
                            const std::string& trust_domain, const OnlineKeys& keys,
                            const OnlineLifetimes& lifetimes, UnixTime now) {
  SP_TRY(const Edition edition, Collect(folder, drafts));
  SP_TRY(const Online online, SignOnline(folder, edition, keys, lifetimes, now));
  SP_TRY(Rehearse(folder, edition, online, trust_domain, now));
  return Write(folder, edition, online);
}

}  // namespace

Result<PublishReport> Publish(RepositoryFolder& folder, const std::string& trust_domain,
                              const OnlineKeys& keys, const OnlineLifetimes& lifetimes,
                              UnixTime now) {
  return Bring(folder, Drafts::kTake, trust_domain, keys, lifetimes, now);
}

Result<PublishReport> RenewOnline(RepositoryFolder& folder, const std::string& trust_domain,
                                  const OnlineKeys& keys, const OnlineLifetimes& lifetimes,
                                  UnixTime now) {
  const auto held = folder.Published("timestamp");
  if (held && EndOf(*held) - now > Duration{lifetimes.timestamp.ms / 3}) return PublishReport{};
  return Bring(folder, Drafts::kLeave, trust_domain, keys, lifetimes, now);
}

}  // namespace sallyport::ota
