#include "ota/repository/sign.h"

#include <algorithm>

#include "ota/metadata/limits.h"

namespace sallyport::ota {
namespace {

Result<RepositoryFolder::Draft> Newest(const RepositoryFolder& folder, std::string_view role) {
  auto staged = folder.Staged(role);
  if (staged || staged.error().reason != Reason::kNotFound) return staged;
  return folder.Published(role);
}

// KeysOf says whose signatures the draft of `role` needs, by the newest root and targets, staged or
// not.
Result<RoleKeys> KeysOf(const RepositoryFolder& folder, std::string_view role) {
  SP_TRY(const auto root_draft, Newest(folder, "root"));
  SP_TRY(const Root root, DraftRoot(root_draft));
  for (const Role top : kTopRoles) {
    if (RoleName(top) == role) return root.keys(top);
  }
  SP_TRY(const auto targets_draft, Newest(folder, "targets"));
  SP_TRY(const Targets targets, DraftTargets(targets_draft));
  const Delegation* delegation = targets.FindDelegation(role);
  if (delegation != nullptr) return delegation->keys;
  return Error{Reason::kUntrusted, std::string(role) + ": no such role", "repository.role-unknown"};
}

// A root also needs the threshold of the root before it.
Result<size_t> MissingByPredecessor(const RepositoryFolder& folder,
                                    const SignedDocument& document) {
  const auto published = folder.Published("root");
  if (!published) return size_t{0};
  SP_TRY(const Root previous, DraftRoot(*published));
  const RoleKeys& keys = previous.keys(Role::kRoot);
  const size_t count = document.CountSignatures(keys);
  return count >= keys.threshold() ? size_t{0} : keys.threshold() - count;
}

// AcceptedKeys are those of the role, and for a root also those of the root before it.
Result<std::vector<RoleKeys>> AcceptedKeys(const RepositoryFolder& folder, std::string_view role) {
  SP_TRY(RoleKeys keys, KeysOf(folder, role));
  std::vector<RoleKeys> out{std::move(keys)};
  if (role != RoleName(Role::kRoot)) return out;
  if (const auto published = folder.Published(role)) {
    SP_TRY(const Root previous, DraftRoot(*published));
    out.push_back(previous.keys(Role::kRoot));
  }
  return out;
}

}  // namespace

Result<SigningStatus> StatusOf(const RepositoryFolder& folder, std::string_view role) {
  SP_TRY(const auto draft, folder.Staged(role));
  SP_TRY(const RoleKeys keys, KeysOf(folder, role));
  SP_TRY(const SignedDocument document, SignedDocument::Parse(draft.bytes, kTargetsSizeMax));
  SigningStatus out{std::string(role),
                    draft.version,
                    keys.threshold(),
                    document.CountSignatures(keys),
                    {},
                    false};
  const auto signers = document.SignersAmong(keys);
  for (const std::string& id : keys.keyids()) {
    if (!signers.contains(id)) out.missing.push_back(id);
  }
  size_t missing_before = 0;
  if (role == RoleName(Role::kRoot)) {
    SP_TRY(missing_before, MissingByPredecessor(folder, document));
  }
  out.ready = out.signatures >= out.threshold && missing_before == 0;
  return out;
}

Result<SigningStatus> SignStaged(RepositoryFolder& folder, std::string_view role,
                                 const Signer& signer) {
  SP_TRY(const auto draft, folder.Staged(role));
  return SignDraft(folder, role, draft, signer);
}

Result<SigningStatus> SignDraft(RepositoryFolder& folder, std::string_view role,
                                const RepositoryFolder::Draft& draft, const Signer& signer) {
  SP_TRY(const auto accepted, AcceptedKeys(folder, role));
  const bool known = std::ranges::any_of(
      accepted, [&](const RoleKeys& keys) { return keys.Find(signer.id) != nullptr; });
  if (!known)
    return Error{Reason::kPolicyDenied, "key " + signer.id + " is not of role " + std::string(role),
                 "repository.foreign-key"};
  SP_TRY(const Bytes document, AddSignature(draft.bytes, signer, kTargetsSizeMax));
  SP_TRY(folder.Stage(role, document));
  return StatusOf(folder, role);
}

Result<std::set<std::string>> SignersOf(const RepositoryFolder& folder, std::string_view role,
                                        ByteView document) {
  SP_TRY(const SignedDocument parsed, SignedDocument::Parse(document, kTargetsSizeMax));
  SP_TRY(const auto accepted, AcceptedKeys(folder, role));
  std::set<std::string> out;
  for (const RoleKeys& keys : accepted) out.merge(parsed.SignersAmong(keys));
  return out;
}

}  // namespace sallyport::ota
