#include "attestation-server/operations/operator.h"

namespace sallyport::server {

Result<ApprovalRow> ApprovalOf(const Operator& caller, const std::vector<SignedApproval>& approvals,
                               std::string_view action, const Sha256Digest& digest, UnixTime now) {
  if (approvals.size() != 1)
    return Error{Reason::kPolicyDenied, "the action needs the caller's own signed approval",
                 "approval.missing"};
  const SignedApproval& approval = approvals.front();
  SP_TRY(const VerifiedApproval verified,
         VerifyApproval(approval, caller.key, caller.id, action, digest, now));
  return ApprovalRow{verified.action(),
                     verified.digest(),
                     verified.operator_id(),
                     verified.expires(),
                     approval.body,
                     approval.signature,
                     now};
}

Result<size_t> RecordAndCount(Transaction& transaction, const ApprovalRow& row, UnixTime now) {
  SP_TRY(RecordApproval(transaction.connection(), row));
  SP_TRY(
      transaction.Audit("approval", JsonValue::Object({{"action", row.action},
                                                       {"digest", HexEncode(row.digest)},
                                                       {"operator", row.operator_id},
                                                       {"signature", HexEncode(row.signature)}})));
  SP_TRY(const std::vector<ApprovalRow> rows,
         ApprovalsFor(transaction.connection(), row.action, row.digest, now));
  return rows.size();
}

}  // namespace sallyport::server
