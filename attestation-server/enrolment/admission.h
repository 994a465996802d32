// The door (architecture 6.1): an EK chain of the profile AND (a listed EK OR a token). Pure: the
// store's rows come in, a decision goes out. The chain is judged in ek_certificate.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/store/tokens.h"
#include "pki/base/digest.h"
#include "pki/base/time.h"

namespace sallyport::server {

// A token auto-approves only within these: one leaked token must not let a fleet in for long.
inline constexpr int64_t kAutoApproveCountMax = 100;
inline constexpr Duration kAutoApproveLifetimeMax = Hours(24);

// AdmissionGround is why a device may come in, and as what.
struct AdmissionGround {
  ProvenanceKind kind = ProvenanceKind::kEkList;
  std::string token_id;  // kToken only; to be spent in the commit
  std::string profile;
  std::string device_name;
  Placement placement;
  bool pending = false;  // an operator must approve
};

// DecideAdmission: a listed EK wins over a token. kPolicyDenied: "admission.unlisted" (neither),
// "token.unknown", "token.other-ek"; kReplayed "token.spent"; kExpired "token.expired";
// kPolicyDenied "token.revoked". A token without EK binding leads to pending unless it
// auto-approves within the limits.
Result<AdmissionGround> DecideAdmission(const std::optional<ListedEk>& listed,
                                        const std::optional<TokenRecord>& token, bool token_sent,
                                        const Sha256Digest& ek_spki_hash, UnixTime now);

}  // namespace sallyport::server
