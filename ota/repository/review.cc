#include "ota/repository/review.h"

#include <algorithm>

#include "ota/metadata/limits.h"
#include "ota/metadata/release.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

Error CannotShow(std::string why) {
  return Error{Reason::kPolicyDenied, std::move(why), "sign.cannot-show"};
}

// Shown is JSON in ASCII: neither line ends nor characters that turn the direction of writing, or
// look like others, can make a document read as something else than it is.
std::string Shown(const JsonValue& value) {
  std::string out;
  for (const char c : WriteJson(value)) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x7f)
      out += c;
    else
      out += "<" + HexEncode(ByteView(&byte, 1)) + ">";
  }
  return out;
}

// Differ lists the leaves in which two trees differ.
class Differ {
 public:
  void Compare(const std::string& path, const JsonValue* before, const JsonValue* after) {
    if (before != nullptr && after != nullptr && before->kind() == after->kind() &&
        before->if_object() != nullptr)
      return CompareObjects(path, *before, *after);
    if (before == nullptr && after->if_object() != nullptr && !after->if_object()->empty())
      return CompareObjects(path, JsonValue::Object({}), *after);
    if (after == nullptr && before->if_object() != nullptr && !before->if_object()->empty())
      return CompareObjects(path, *before, JsonValue::Object({}));
    CompareLeaves(path, before, after);
  }
  std::vector<std::string> lines;

 private:
  void CompareObjects(const std::string& path, const JsonValue& before, const JsonValue& after) {
    std::vector<std::string> keys;
    for (const JsonValue* object : {&before, &after})
      for (const JsonMember& member : *object->if_object()) keys.push_back(member.key);
    std::ranges::sort(keys);
    keys.erase(std::ranges::unique(keys).begin(), keys.end());
    for (const std::string& key : keys)
      Compare(path + (path.empty() ? "" : ".") + Shown(JsonValue(key)), before.Find(key),
              after.Find(key));
  }
  void CompareLeaves(const std::string& path, const JsonValue* before, const JsonValue* after) {
    const std::string old_text = before == nullptr ? "" : Shown(*before);
    const std::string new_text = after == nullptr ? "" : Shown(*after);
    if (before == nullptr)
      lines.push_back("+ " + path + " = " + new_text);
    else if (after == nullptr)
      lines.push_back("- " + path + " = " + old_text);
    else if (old_text != new_text)
      lines.push_back("~ " + path + ": " + old_text + " -> " + new_text);
  }
};

Result<Unit> CheckMembers(const JsonCursor& body, bool root) {
  const auto known = root ? body.OnlyKeys({"_type", "spec_version", "version", "expires",
                                           "consistent_snapshot", "keys", "roles", "sallyport"})
                          : body.OnlyKeys({"_type", "spec_version", "version", "expires", "targets",
                                           "delegations", "sallyport"});
  if (!known) return CannotShow(known.error().detail);
  return Ok();
}

// A key that this program cannot read might be anybody's.
Result<Unit> CheckKeys(const RoleKeys& keys, std::string_view role) {
  for (const std::string& id : keys.keyids()) {
    const pki::PublicKey* key = keys.Find(id);
    if (key == nullptr || KeyId(*key) != id)
      return CannotShow("key " + id + " of role " + std::string(role) + " is not what its id says");
  }
  return Ok();
}

Result<Unit> CheckRoot(const RepositoryFolder::Draft& draft) {
  const auto root = DraftRoot(draft);
  if (!root) return CannotShow(root.error().ToString());
  for (const Role role : kTopRoles) SP_TRY(CheckKeys(root->keys(role), RoleName(role)));
  return Ok();
}

std::string ComponentsLine(const Release& release) {
  std::string out;
  if (release.verity) out += "; root hash " + HexEncode(release.verity->root_hash);
  for (const ReleaseComponent& component : release.components)
    out += "; " + std::string(ComponentKindName(component.kind())) + " " + component.name +
           (component.firmware ? " of " + component.firmware->fw_class + " version " +
                                     std::to_string(component.firmware->version)
                               : "");
  return out;
}

std::string ReleaseLine(const Release& release) {
  std::string hardware;
  for (const std::string& id : release.hardware) hardware += (hardware.empty() ? "" : ", ") + id;
  return release.product + " " + release.version.text() + " for " + hardware + "; from version " +
         release.min_version.text() + " on; rollback index " +
         std::to_string(release.rollback_index) +
         (release.security_floor ? ", raises the rollback floor of devices" : "") +
         (release.install_by ? "; from " + FormatRfc3339(*release.install_by) +
                                   " on no window or site inhibitor of a device holds it up"
                             : "") +
         ComponentsLine(release);
}

// NewReleases reads the release.json of every release that was not published before.
Result<std::vector<std::string>> NewReleases(const RepositoryFolder& folder, const Targets& next,
                                             const Targets* held) {
  std::vector<std::string> out;
  for (const auto& [path, file] : next.targets) {
    const TargetFile* before = held == nullptr ? nullptr : held->Find(path);
    if (!path.ends_with("/release.json") || (before && before->digests == file.digests)) continue;
    if (!file.digests.sha256()) return CannotShow(path + ": no SHA-256");
    const auto json = ReadFile(folder.files(), folder.TargetFilePath(path, *file.digests.sha256()),
                               kReleaseSizeMax);
    if (!json || !file.Check(*json, path)) return CannotShow(path + " is not in this folder");
    const auto release = ParseRelease(*json);
    if (!release) return CannotShow(path + ": " + release.error().ToString());
    out.push_back(ReleaseLine(*release));
  }
  return out;
}

std::vector<std::string> WithdrawnReleases(const Targets& next, const Targets& held) {
  std::vector<std::string> out;
  for (const auto& [path, file] : held.targets)
    if (path.ends_with("/release.json") && next.Find(path) == nullptr) out.push_back(path);
  return out;
}

Result<Unit> ReviewTargets(const RepositoryFolder& folder, const RepositoryFolder::Draft& draft,
                           const RepositoryFolder::Draft* published, Review& out) {
  const auto targets = DraftTargets(draft);
  if (!targets) return CannotShow(targets.error().ToString());
  for (const Delegation& delegation : targets->delegations)
    SP_TRY(CheckKeys(delegation.keys, delegation.name));
  std::optional<Targets> held;
  if (published != nullptr) {
    SP_TRY(held, DraftTargets(*published));
    out.withdrawn = WithdrawnReleases(*targets, *held);
  }
  SP_TRY(out.releases, NewReleases(folder, *targets, held ? &*held : nullptr));
  return Ok();
}

Sha256Digest PayloadOf(const JsonValue& body) { return pki::Sha256(AsBytes(CanonicalJson(body))); }

Result<JsonValue> ParseDocument(ByteView bytes) {
  SP_TRY(SignedDocument::Parse(bytes, kTargetsSizeMax));
  return ParseJson(AsText(bytes), {.size_max = kTargetsSizeMax, .depth_max = kMetadataDepthMax});
}

}  // namespace

Result<Unit> CheckNextVersion(const RepositoryFolder& folder, std::string_view role,
                              const RepositoryFolder::Draft& draft) {
  const auto published = folder.Published(role);
  if (!published && published.error().reason != Reason::kNotFound) return published.error();
  const uint64_t next = published ? published->version + 1 : 1;
  // A publication that a power cut interrupted goes on with the same bytes.
  const bool resumed = published && Equal(published->bytes, draft.bytes);
  if (draft.version == next || resumed) return Ok();
  return Error{Reason::kPolicyDenied,
               std::string(role) + " version " + std::to_string(draft.version) + " is staged, " +
                   std::to_string(next) + " is next: stage it anew",
               "repository.version-not-next"};
}

Result<Review> ReviewStaged(const RepositoryFolder& folder, std::string_view role) {
  SP_TRY(auto draft, folder.Staged(role));
  SP_TRY(CheckNextVersion(folder, role, draft));
  const auto published = folder.Published(role);
  const JsonCursor body(draft.body, "signed");
  SP_TRY(const std::string_view expires, body.GetString("expires"));
  Review out{std::string(role),
             draft.version,
             published ? published->version : 0,
             std::string(expires),
             PayloadOf(draft.body),
             {},
             {},
             {},
             draft};
  const bool root = role == RoleName(Role::kRoot);
  SP_TRY(CheckMembers(body, root));
  if (root) {
    SP_TRY(CheckRoot(draft));
  } else {
    SP_TRY(ReviewTargets(folder, draft, published ? &*published : nullptr, out));
  }
  Differ differ;
  const JsonValue nothing = JsonValue::Object({});
  differ.Compare("", published ? &published->body : &nothing, &draft.body);
  out.changes = std::move(differ.lines);
  return out;
}

Result<SigningStatus> SignReviewed(RepositoryFolder& folder, const Review& review,
                                   const Signer& signer) {
  SP_TRY(const auto now_staged, folder.Staged(review.role));
  if (PayloadOf(now_staged.body) != review.payload)
    return Error{Reason::kMismatch, review.role + " was staged anew while it was shown",
                 "sign.draft-changed"};
  // The same payload, with the signatures that others may have added meanwhile.
  return SignDraft(folder, review.role, now_staged, signer);
}

Result<SigningStatus> MergeSignatures(RepositoryFolder& folder, std::string_view role,
                                      ByteView document) {
  SP_TRY(const auto draft, folder.Staged(role));
  SP_TRY(const JsonValue theirs, ParseDocument(document));
  if (PayloadOf(*theirs.Find("signed")) != PayloadOf(draft.body))
    return Error{Reason::kMismatch,
                 "the file signs another payload than the staged " + std::string(role),
                 "merge.payload-differs"};
  SP_TRY(const std::set<std::string> ids, SignersOf(folder, role, document));
  if (ids.empty())
    return Error{Reason::kPolicyDenied, "no signature of a key of role " + std::string(role),
                 "repository.foreign-key"};
  SP_TRY(const JsonValue ours, ParseDocument(draft.bytes));
  std::vector<JsonValue> signatures;
  for (const JsonValue& signature : *ours.Find("signatures")->if_array())
    if (!ids.contains(*signature.Find("keyid")->if_string())) signatures.push_back(signature);
  for (const JsonValue& signature : *theirs.Find("signatures")->if_array())
    if (ids.contains(*signature.Find("keyid")->if_string())) signatures.push_back(signature);
  const JsonValue merged =
      WithMembers(ours, {{"signatures", JsonValue::Array(std::move(signatures))}});
  SP_TRY(folder.Stage(role, AsBytes(WriteJson(merged))));
  return StatusOf(folder, role);
}

JsonValue ReviewJson(const Review& review) {
  return JsonValue::Object({{"role", review.role},
                            {"version", review.version},
                            {"previous_version", review.previous_version},
                            {"expires", review.expires},
                            {"payload_sha256", HexEncode(review.payload)},
                            {"changes", JsonValue::Strings(review.changes)},
                            {"new_releases", JsonValue::Strings(review.releases)},
                            {"withdrawn_releases", JsonValue::Strings(review.withdrawn)}});
}

std::string ReviewText(const Review& review) {
  std::string out =
      "role " + review.role + " version " + std::to_string(review.version) +
      (review.previous_version == 0 ? std::string(", the first")
                                    : " after version " + std::to_string(review.previous_version)) +
      "\nexpires " + review.expires + "\npayload SHA-256 " + HexEncode(review.payload) + "\n";
  for (const std::string& release : review.releases) out += "new release: " + release + "\n";
  for (const std::string& path : review.withdrawn) out += "WITHDRAWN release: " + path + "\n";
  for (const std::string& change : review.changes) out += "  " + change + "\n";
  return out;
}

}  // namespace sallyport::ota
