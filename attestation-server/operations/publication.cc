#include "attestation-server/operations/publication.h"

#include <algorithm>

#include "attestation-server/director/inventory.h"
#include "attestation-server/operations/rollouts.h"
#include "attestation-server/store/policies.h"
#include "ota/metadata/uptane.h"
#include "ota/repository/change_roles.h"
#include "pki/base/log.h"
#include "policies/decision/canonical.h"
#include "policies/decision/review.h"
#include "policies/language/reader.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kMetadataBytesMax = 16 << 20;

bool IsSafeName(std::string_view name) {
  return !name.empty() && name.size() <= 128 && name.front() != '.' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}

Error Refused(std::string_view rule, std::string detail) {
  return Error{Reason::kPolicyDenied, std::move(detail), rule};
}

std::string Findings(const policy::Diagnostics& findings) {
  std::string out;
  for (const policy::Diagnostic& finding : findings.all())
    if (policy::IsError(finding.code))
      out += (out.empty() ? "" : "\n") + policy::FormatDiagnostic(finding);
  return out;
}

// CheckPolicy lowers `source` over today's devices and shows that it is exactly what was signed.
Result<Unit> CheckPolicy(ByteView source, const policy::PolicyManifest& manifest,
                         const policy::ZoneLookup& zones, const std::vector<DeviceRecord>& devices,
                         UnixTime now) {
  policy::Diagnostics findings("policy");
  const policy::Inventory inventory = InventoryOf(devices, now);
  const std::optional<policy::Policy> parsed = policy::ReadPolicy(AsText(source), zones, findings);
  const std::optional<policy::RuleSet> rules =
      parsed ? policy::Lower(*parsed, &inventory, findings) : std::nullopt;
  if (!rules) return Error{Reason::kMalformed, Findings(findings), "policy.source"};
  SP_TRY(policy::ReadSignedRules(policy::MakePolicyTexts(*rules), manifest));
  const policy::CompiledPolicy compiled = policy::Compile(
      *rules, policy::FactsOf(inventory));  // the same rules, with the groups that tests name
  policy::ReviewRules(*parsed, *rules, findings);
  policy::ReviewOver(*parsed, inventory, compiled, now, findings);
  if (findings.has_errors()) return Refused("policy.review", Findings(findings));
  return Unit{};
}

}  // namespace

Result<std::string> PublicationOperations::UploadPath(std::string_view relative) const {
  std::vector<std::string_view> parts;
  for (size_t start = 0; start <= relative.size();) {
    const size_t slash = std::min(relative.find('/', start), relative.size());
    parts.push_back(relative.substr(start, slash - start));
    start = slash + 1;
  }
  const bool staged = parts.size() == 2 && parts[0] == "staged" && parts[1].ends_with(".json");
  const bool target = parts.size() >= 2 && parts.size() <= 8 && parts[0] == "targets";
  if ((!staged && !target) || !std::ranges::all_of(parts, IsSafeName))
    return Error{Reason::kInvalidArgument, "not a path of the repository: " + std::string(relative),
                 "publish.path"};
  return repository_.directory + "/" + std::string(relative);
}

Result<Bytes> PublicationOperations::PublishedTarget(std::string_view role,
                                                     std::string_view path) const {
  const ota::RepositoryFolder folder(repository_.files, repository_.directory);
  SP_TRY(const ota::RepositoryFolder::Draft published, folder.Published(role));
  SP_TRY(const ota::Targets parsed, ota::DraftTargets(published));
  const auto found = parsed.targets.find(path);
  if (found == parsed.targets.end() || !found->second.digests.sha256())
    return Error{Reason::kNotFound, std::string(path) + " is not published", "publish.target"};
  SP_TRY(Bytes bytes,
         ReadFile(repository_.files, folder.TargetFilePath(path, *found->second.digests.sha256()),
                  kMetadataBytesMax));
  if (pki::Sha256(bytes) != *found->second.digests.sha256())
    return Error{Reason::kMismatch, std::string(path) + " is damaged on disk", "publish.damaged"};
  return bytes;
}

Result<Unit> PublicationOperations::RecordReleases(const Operator& caller, UnixTime now) {
  const ota::RepositoryFolder folder(repository_.files, repository_.directory);
  SP_TRY(const ota::RepositoryFolder::Draft published, folder.Published("targets"));
  SP_TRY(const ota::Targets parsed, ota::DraftTargets(published));
  std::set<std::string> releases;
  for (const auto& [path, file] : parsed.targets) {
    if (!path.starts_with("releases/") || !path.ends_with("/release.json")) continue;
    releases.insert(path);
    SP_TRY(const Bytes json, PublishedTarget("targets", path));
    SP_TRY(
        parts_.database.writer().Run([&, release = path](Transaction& transaction) -> Result<Unit> {
          return RecordRelease(transaction, release, json, now);
        }));
  }
  return parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(RecordWithdrawals(transaction, releases, now));
    SP_TRY(transaction.Audit(
        "repository.published",
        JsonValue::Object({{"operator", caller.id}, {"targets", published.version}})));
    return Unit{};
  });
}

Result<JsonValue> PublicationOperations::PublishedMetadata() const {
  const std::string directory = repository_.directory + "/metadata";
  SP_TRY(const std::vector<std::string> names, repository_.files.List(directory));
  std::vector<JsonMember> members;
  for (const std::string& name : names) {
    SP_TRY(const Bytes bytes,
           ReadFile(repository_.files, directory + "/" + name, kMetadataBytesMax));
    members.push_back({name, JsonValue(Base64Encode(bytes))});
  }
  return JsonValue::Object(std::move(members));
}

Result<JsonValue> PublicationOperations::Publish(const Operator& caller, UnixTime now) {
  const std::lock_guard lock(publish_mutex_);
  ota::RepositoryFolder folder(repository_.files, repository_.directory);
  SP_TRY(const ota::PublishReport report,
         ota::Publish(folder, repository_.trust_domain, repository_.keys, {}, now));
  SP_TRY(RecordReleases(caller, now));
  SP_TRY(JsonValue metadata, PublishedMetadata());
  changed_();
  return JsonValue::Object(
      {{"published", JsonValue::Strings(report.published)}, {"metadata", std::move(metadata)}});
}

namespace {

// SignedBy: with these keys the director reaches the thresholds of `root`.
bool SignedBy(const ota::Root& root, const DirectorTrust& keys) {
  for (const auto& [role, key] : {std::pair(ota::Role::kTargets, &keys.targets),
                                  std::pair(ota::Role::kSnapshot, &keys.snapshot),
                                  std::pair(ota::Role::kTimestamp, &keys.timestamp)}) {
    const ota::RoleKeys& listed = root.keys(role);
    const pki::PublicKey* const named = listed.Find(ota::KeyId(*key));
    if (listed.threshold() != 1 || named == nullptr || named->spki() != key->spki()) return false;
  }
  return true;
}

}  // namespace

Result<uint64_t> PublicationOperations::TakeDirectorRoot(ota::RepositoryFolder& folder,
                                                         UnixTime now) const {
  SP_TRY(const ota::RepositoryFolder::Draft draft, folder.Staged("root"));
  SP_TRY(const ota::RepositoryFolder::Draft held, folder.Published("root"));
  if (draft.version <= held.version)
    return Error{Reason::kAlreadyExists, "version " + std::to_string(held.version) + " is held",
                 "director-root.held"};
  SP_TRY(const ota::Root root, ota::DraftRoot(draft));
  if (!SignedBy(root, repository_.director))
    return Error{
        Reason::kConflict,
        "it does not name the online keys that this service signs with; give it those keys "
        "first",
        "director-root.keys"};
  return ota::PublishDirectorRoot(folder, repository_.trust_domain, now);
}

Result<JsonValue> PublicationOperations::PublishDirectorRoot(const Operator& caller, ByteView root,
                                                             UnixTime now) {
  const std::lock_guard lock(publish_mutex_);
  auto folder = ota::RepositoryFolder::Director(repository_.files, repository_.directory);
  SP_TRY(folder.Stage("root", root));
  const Result<uint64_t> version = TakeDirectorRoot(folder, now);
  if (!version) {
    SP_TRY(folder.Unstage("root"));
    return version.error();
  }
  repository_.director.add_root(ToBytes(root));
  changed_();
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(transaction.Audit("director-root.published",
                             JsonValue::Object({{"operator", caller.id},
                                                {"version", *version},
                                                {"sha256", HexEncode(pki::Sha256(root))}})));
    return Unit{};
  }));
  return JsonValue::Object(
      {{"published", JsonValue::Strings({"director/" + std::to_string(*version) + ".root.json"})}});
}

Result<Unit> PublicationOperations::Renew(UnixTime now) {
  const std::lock_guard lock(publish_mutex_);
  ota::RepositoryFolder folder(repository_.files, repository_.directory);
  SP_TRY(ota::RenewOnline(folder, repository_.trust_domain, repository_.keys, {}, now));
  return Unit{};
}

Result<JsonValue> PublicationOperations::ApplyPolicy(const Operator& caller, ByteView source,
                                                     UnixTime now) {
  SP_TRY(const Bytes manifest_json, PublishedTarget(ota::kPolicyRole, ota::kPolicyTargetPath));
  SP_TRY(const policy::PolicyManifest manifest, policy::ParsePolicyManifest(AsText(manifest_json)));
  if (now < manifest.not_before || now >= manifest.expires)
    return Error{Reason::kExpired, "the published policy is not valid now", "policy.validity"};
  std::vector<DeviceRecord> devices;
  {
    SP_TRY(Snapshot snapshot, parts_.database.Read());
    SP_TRY(devices, LoadDevices(snapshot.connection()));
  }
  SP_TRY(CheckPolicy(source, manifest, zones_, devices, now));
  const PolicyRow row{static_cast<uint64_t>(manifest.version),
                      manifest.name,
                      pki::Sha256(manifest_json),
                      ToString(manifest_json),
                      ToString(source),
                      caller.id,
                      now};
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(Policies(transaction.connection()).Apply(row));
    SP_TRY(transaction.Audit("policy.applied",
                             JsonValue::Object({{"version", row.version},
                                                {"manifest", HexEncode(row.manifest_hash)},
                                                {"operator", caller.id}})));
    return Unit{};
  }));
  changed_();
  return JsonValue::Object({{"name", row.name},
                            {"version", row.version},
                            {"grants", manifest.grants.size()},
                            {"state", "in force"}});
}

Result<JsonValue> PublicationOperations::ListPolicies(int64_t limit) {
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  SP_TRY(const std::vector<PolicyRow> rows, Policies(snapshot.connection()).List(limit));
  std::vector<JsonValue> out;
  for (const PolicyRow& row : rows)
    out.push_back(JsonValue::Object({{"version", row.version},
                                     {"name", row.name},
                                     {"manifest", HexEncode(row.manifest_hash)},
                                     {"applied_by", row.applied_by},
                                     {"applied_at", FormatRfc3339(row.applied_at)}}));
  return JsonValue::Array(std::move(out));
}

}  // namespace sallyport::server
