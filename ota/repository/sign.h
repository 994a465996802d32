// Offline signing: one person, one key, one signature at a time, until a draft reaches its
// threshold.
#pragma once

#include <set>

#include "ota/repository/folder.h"

namespace sallyport::ota {

struct SigningStatus {
  std::string role;
  uint64_t version;
  size_t threshold;
  size_t signatures;                 // distinct keys of the role that signed
  std::vector<std::string> missing;  // key ids of the role that have not signed
  // ready: for root also by the keys of its predecessor.
  bool ready;
};

// StatusOf looks at the staged draft of `role`: root, targets, or a role that targets delegates.
// kNotFound without a draft; kUntrusted, rule repository.role-unknown, when nobody delegates it.
Result<SigningStatus> StatusOf(const RepositoryFolder& folder, std::string_view role);
// SignStaged adds one signature. kPolicyDenied, rule repository.foreign-key, when the key is not of
// the role.
Result<SigningStatus> SignStaged(RepositoryFolder& folder, std::string_view role,
                                 const Signer& signer);
// SignDraft is SignStaged for a draft that the caller has read: exactly its bytes are signed and
// staged.
Result<SigningStatus> SignDraft(RepositoryFolder& folder, std::string_view role,
                                const RepositoryFolder::Draft& draft, const Signer& signer);
// SignersOf returns the ids of the keys, of the role or of the root before, whose signatures in
// `document` verify.
Result<std::set<std::string>> SignersOf(const RepositoryFolder& folder, std::string_view role,
                                        ByteView document);

}  // namespace sallyport::ota
