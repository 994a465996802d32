// Issuers with their states, and the approvals operators signed.
#pragma once

#include <string>
#include <vector>

#include "attestation-server/store/connection.h"
#include "attestation-server/store/vocabulary.h"
#include "pki/base/digest.h"
#include "pki/base/time.h"

namespace sallyport::server {

struct IssuerRow {
  std::string key_id;  // hex of the subject key id
  IssuerRole role = IssuerRole::kDevice;
  IssuerState state = IssuerState::kPrepared;
  std::string certificate_pem;
  UnixTime not_after;
  UnixTime created_at;
};

class Issuers {
 public:
  explicit Issuers(Connection& connection) : connection_(connection) {}
  Result<Unit> Insert(const IssuerRow& row);
  // SetState raises Counter::kIssuerEpoch. kNotFound.
  Result<Unit> SetState(std::string_view key_id, IssuerState state);
  Result<std::vector<IssuerRow>> List();

 private:
  Connection& connection_;
};

struct ApprovalRow {
  std::string action;
  Sha256Digest digest = Sha256Digest::FromArray({});
  std::string operator_id;
  UnixTime expires_at;
  Bytes body;
  Bytes signature;
  UnixTime received_at;
};
// RecordApproval: one operator's second approval of the same thing changes nothing.
Result<Unit> RecordApproval(Connection& connection, const ApprovalRow& row);
// ApprovalsFor returns those that live at `now`, at most one per operator.
Result<std::vector<ApprovalRow>> ApprovalsFor(Connection& connection, std::string_view action,
                                              const Sha256Digest& digest, UnixTime now);
// VoidApprovals makes what was approved count for nothing: it was used, or what it was about has
// changed. The audit keeps that it was given.
Result<Unit> VoidApprovals(Connection& connection, std::string_view action,
                           const Sha256Digest& digest);

}  // namespace sallyport::server
