#include "attestation-server/store/authority.h"

#include "attestation-server/store/meta.h"

namespace sallyport::server {

Result<Unit> Issuers::Insert(const IssuerRow& row) {
  SP_TRY(connection_.Execute(
      "INSERT INTO issuers (key_id, role, state, certificate_pem, not_after, created_at) "
      "VALUES (:key_id, :role, :state, :pem, :not_after, :created_at)",
      {row.key_id, TextOf(row.role), TextOf(row.state), row.certificate_pem, row.not_after,
       row.created_at}));
  SP_TRY(RaiseCounter(connection_, Counter::kIssuerEpoch));
  return Unit{};
}

Result<Unit> Issuers::SetState(std::string_view key_id, IssuerState state) {
  SP_TRY(const int64_t changed,
         connection_.Execute("UPDATE issuers SET state = :state WHERE key_id = :key_id",
                             {TextOf(state), key_id}));
  if (changed != 1) return Error{Reason::kNotFound, "no such issuer", "issuer.unknown"};
  SP_TRY(RaiseCounter(connection_, Counter::kIssuerEpoch));
  return Unit{};
}

Result<std::vector<IssuerRow>> Issuers::List() {
  SP_TRY(const auto rows,
         connection_.Query(
             "SELECT key_id, role, state, certificate_pem, not_after, created_at FROM issuers "
             "ORDER BY created_at, key_id",
             "ttttii"));
  std::vector<IssuerRow> out;
  for (const Row& row : rows) {
    SP_TRY(const IssuerRole role, ParseWord<IssuerRole>(row.Text(1)));
    SP_TRY(const IssuerState state, ParseWord<IssuerState>(row.Text(2)));
    out.push_back({row.Text(0), role, state, row.Text(3), row.Time(4), row.Time(5)});
  }
  return out;
}

Result<Unit> RecordApproval(Connection& connection, const ApprovalRow& row) {
  SP_TRY(
      connection.Execute("INSERT INTO approvals (action, digest, operator_id, expires_at, body, "
                         "signature, received_at) VALUES "
                         "(:action, :digest, :operator, :expires_at, :body, :signature, "
                         ":received_at) ON CONFLICT DO NOTHING",
                         {row.action, row.digest, row.operator_id, row.expires_at,
                          HexEncode(row.body), HexEncode(row.signature), row.received_at}));
  return Unit{};
}

Result<std::vector<ApprovalRow>> ApprovalsFor(Connection& connection, std::string_view action,
                                              const Sha256Digest& digest, UnixTime now) {
  SP_TRY(const auto rows,
         connection.Query(
             "SELECT operator_id, expires_at, body, signature, received_at FROM approvals "
             "WHERE action = :action AND digest = :digest AND expires_at > :now "
             "ORDER BY operator_id, expires_at DESC",
             "titti", {action, digest, now}));
  std::vector<ApprovalRow> out;
  for (const Row& row : rows) {
    if (!out.empty() && out.back().operator_id == row.Text(0)) continue;
    SP_TRY(Bytes body, HexDecode(row.Text(2)));
    SP_TRY(Bytes signature, HexDecode(row.Text(3)));
    out.push_back({std::string(action), digest, row.Text(0), row.Time(1), std::move(body),
                   std::move(signature), row.Time(4)});
  }
  return out;
}

Result<Unit> VoidApprovals(Connection& connection, std::string_view action,
                           const Sha256Digest& digest) {
  SP_TRY(connection.Execute("DELETE FROM approvals WHERE action = :action AND digest = :digest",
                            {action, digest}));
  return Unit{};
}

}  // namespace sallyport::server
