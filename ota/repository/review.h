// What a person signs, shown before it is signed: every difference from the version before, the
// digest of the payload, and the contents of each new release. What cannot be shown is not signed,
// and what was shown is what gets signed: the payload is compared again.
#pragma once

#include "ota/repository/sign.h"

namespace sallyport::ota {

struct Review {
  std::string role;
  uint64_t version;
  uint64_t previous_version;  // 0 when nothing is published
  std::string expires;        // RFC 3339
  Sha256Digest payload;       // SHA-256 of the canonical `signed`: the bytes that signatures cover
  std::vector<std::string> changes;   // `+ path = value`, `- path = value`, `~ path = old -> new`
  std::vector<std::string> releases;  // each release that is new, as text
  std::vector<std::string> withdrawn = {};  // target path of each release that is there no more
  RepositoryFolder::Draft draft;
};

// ReviewStaged looks at the staged draft of `role`. kNotFound without one. kPolicyDenied: rule
// sign.cannot-show when a member, key or release in it is unknown, unreadable or missing; rule
// repository.version-not-next unless it follows what is published.
Result<Review> ReviewStaged(const RepositoryFolder& folder, std::string_view role);

// SignReviewed signs exactly the payload of `review`. Errors of SignStaged, and
// kMismatch, rule sign.draft-changed, when another payload was staged since.
Result<SigningStatus> SignReviewed(RepositoryFolder& folder, const Review& review,
                                   const Signer& signer);

// MergeSignatures adds the signatures that another copy of the draft collected. kMismatch, rule
// merge.payload-differs, unless it is the same payload; kPolicyDenied, rule repository.foreign-key,
// when it adds no signature of the role's keys that verifies. Others are left out.
Result<SigningStatus> MergeSignatures(RepositoryFolder& folder, std::string_view role,
                                      ByteView document);

// CheckNextVersion: kPolicyDenied, rule repository.version-not-next, unless `draft` follows the
// published version of `role`.
Result<Unit> CheckNextVersion(const RepositoryFolder& folder, std::string_view role,
                              const RepositoryFolder::Draft& draft);

JsonValue ReviewJson(const Review& review);
std::string ReviewText(const Review& review);

}  // namespace sallyport::ota
