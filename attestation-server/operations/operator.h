// What every operation needs to know: who asks, and the parts it works on. Operations are free of
// gRPC; each changes the store and the audit in one transaction.
#pragma once

#include <string>
#include <vector>

#include "attestation-server/enrolment/flow.h"
#include "attestation-server/operations/approval.h"
#include "attestation-server/operations/operator_role.h"
#include "attestation-server/store/authority.h"
#include "attestation-server/store/database.h"

namespace sallyport::server {

// Operator is the caller behind a verified operator certificate with a role in the configuration.
struct Operator {
  std::string id;  // SPIFFE id
  OperatorRole role;
  pki::PublicKey key;
};

// OperationParts are borrowed and outlive every operation.
struct OperationParts {
  Database& database;
  Random& random;
  FlowEvents& events;
};

// ApprovalOf verifies that `caller` signed `action` on `digest` in exactly one of `approvals`, and
// returns the row to store. kPolicyDenied ("approval.missing") without one; rules of VerifyApproval
// otherwise.
Result<ApprovalRow> ApprovalOf(const Operator& caller, const std::vector<SignedApproval>& approvals,
                               std::string_view action, const Sha256Digest& digest, UnixTime now);

// RecordAndCount stores `row` and returns how many operators approve the same thing at `now`.
Result<size_t> RecordAndCount(Transaction& transaction, const ApprovalRow& row, UnixTime now);

}  // namespace sallyport::server
