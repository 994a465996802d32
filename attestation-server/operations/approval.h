// Approvals are signatures by operators' keys (docs/protocol.md, Signed statements), never mere
// rows.
#pragma once

#include <string>

#include "pki/base/digest.h"
#include "pki/base/time.h"
#include "pki/ca/signed_statement.h"

namespace sallyport::server {

inline constexpr Duration kApprovalLifetimeMax =
    Hours(24);  // an approval is for now, not for later

// What is signed to bring a set of reference values into force, and to take it out again; the
// digest is the set's id.
inline constexpr std::string_view kReferenceApproveAction = "reference.approve";
inline constexpr std::string_view kReferenceRetireAction = "reference.retire";

// Wire form of an approval: the body is the JSON that was signed, as it was signed.
using SignedApproval = pki::SignedStatement;

// VerifiedApproval says that `operator_id` approved `action` on exactly `digest`. Only
// VerifyApproval makes it.
class VerifiedApproval {
 public:
  const std::string& action() const { return action_; }
  const Sha256Digest& digest() const { return digest_; }
  const std::string& operator_id() const { return operator_id_; }
  UnixTime expires() const { return expires_; }

 private:
  friend Result<VerifiedApproval> VerifyApproval(const SignedApproval&, const pki::PublicKey&,
                                                 std::string_view, std::string_view,
                                                 const Sha256Digest&, UnixTime);
  VerifiedApproval(std::string action, Sha256Digest digest, std::string operator_id,
                   UnixTime expires)
      : action_(std::move(action)),
        digest_(digest),
        operator_id_(std::move(operator_id)),
        expires_(expires) {}
  std::string action_;
  Sha256Digest digest_;
  std::string operator_id_;
  UnixTime expires_;
};

// MakeApproval signs with the operator's P-256 key.
Result<SignedApproval> MakeApproval(const pki::PrivateKey& key, std::string_view operator_id,
                                    std::string_view action, const Sha256Digest& digest,
                                    UnixTime expires);

// VerifyApproval checks, in this order: the signature over the received bytes by `key`
// ("approval.signature"), the JSON (kMalformed), operator ("approval.operator"), action
// ("approval.action"), digest ("approval.digest"), expiry at `now` and at most kApprovalLifetimeMax
// ahead
// ("approval.expired"). `key` and `operator_id` come from the caller's verified certificate.
Result<VerifiedApproval> VerifyApproval(const SignedApproval& approval, const pki::PublicKey& key,
                                        std::string_view operator_id, std::string_view action,
                                        const Sha256Digest& digest, UnixTime now);

}  // namespace sallyport::server
