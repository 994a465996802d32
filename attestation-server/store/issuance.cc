#include "attestation-server/store/issuance.h"

#include <algorithm>

#include "attestation-server/store/limits.h"

namespace sallyport::server {

Result<Unit> SpendTicket(Connection& connection, const TicketId& ticket, std::string_view device_id,
                         std::string_view purpose, UnixTime now) {
  SP_TRY(const int64_t inserted,
         connection.Execute("INSERT INTO spent_tickets (id, device_id, purpose, spent_at) "
                            "VALUES (:id, :device, :purpose, :now) ON CONFLICT (id) DO NOTHING",
                            {ticket, device_id, purpose, now}));
  if (inserted != 1) return Error{Reason::kReplayed, "ticket was used before", "ticket.spent"};
  return Unit{};
}

Result<std::optional<UnixTime>> FindSpentTicket(Connection& connection, const TicketId& ticket) {
  SP_TRY(const auto row,
         connection.QueryOne("SELECT spent_at FROM spent_tickets WHERE id = :id", "i", {ticket}));
  return row.has_value() ? std::optional(row->Time(0)) : std::nullopt;
}

Result<Unit> InsertCertificate(Connection& connection, const CertificateRow& row) {
  SP_TRY(connection.Execute(
      "INSERT INTO certificates (serial, device_id, issuer_key_id, issuer_epoch, epoch, "
      "incarnation, tls_name, "
      "spki_sha256, not_before, not_after, attested_at, boot_id) VALUES (:serial, :device, "
      ":issuer, :issuer_epoch, "
      ":epoch, :incarnation, :tls_name, :spki, :not_before, :not_after, :attested_at, :boot_id)",
      {row.serial, row.device_id, row.issuer_key_id, row.issuer_epoch, row.epoch, row.incarnation,
       HexEncode(row.tls_name), row.spki_hash, row.not_before, row.not_after, row.attested_at,
       row.boot_id}));
  return Unit{};
}

Result<std::vector<CertificateRow>> ListCertificates(Connection& connection,
                                                     std::string_view device_id, int64_t limit) {
  SP_TRY(
      const auto rows,
      connection.Query(
          "SELECT serial, issuer_key_id, issuer_epoch, epoch, incarnation, tls_name, spki_sha256, "
          "not_before, not_after, attested_at, boot_id FROM certificates WHERE device_id = :device "
          "ORDER BY not_before DESC, serial LIMIT :limit",
          "ttiiittiiit", {device_id, std::min(limit, kListMax)}));
  std::vector<CertificateRow> out;
  for (const Row& row : rows) {
    SP_TRY(Bytes tls_name, HexDecode(row.Text(5)));
    SP_TRY(const auto spki_hash, row.FixedAt<Sha256Digest>(6));
    SP_TRY(const auto boot_id, row.FixedAt<BootId>(10));
    out.push_back({row.Text(0), std::string(device_id), row.Text(1),
                   static_cast<uint64_t>(row.Integer(2)), static_cast<uint64_t>(row.Integer(3)),
                   static_cast<uint64_t>(row.Integer(4)), std::move(tls_name), spki_hash,
                   row.Time(7), row.Time(8), row.Time(9), boot_id});
  }
  return out;
}

Result<Unit> InsertVerdict(Connection& connection, const VerdictRow& v) {
  SP_TRY(connection.Execute(
      "INSERT INTO verdicts (id, device_id, purpose, passed, rule, checks, diff, evidence_sha256, "
      "log_sha256, "
      "reference_set, reference_epoch, policy_epoch, issuer_epoch, attested_at, valid_until, "
      "judged_at) VALUES (:id, "
      ":device, :purpose, :passed, :rule, :checks, :diff, :evidence, :log, :reference, "
      ":reference_epoch, "
      ":policy_epoch, :issuer_epoch, :attested_at, :valid_until, :judged_at)",
      {v.id, v.device_id, v.purpose, v.passed ? 1 : 0, v.rule, v.checks, v.diff, v.evidence_hash,
       v.log_hash, v.reference_set, v.reference_epoch, v.policy_epoch, v.issuer_epoch,
       v.attested_at, v.valid_until, v.judged_at}));
  return Unit{};
}

namespace {

// ReadVerdict reads the columns that both queries below select, in their order.
Result<VerdictRow> ReadVerdict(const Row& row) {
  VerdictRow v;
  v.id = row.Text(0);
  v.purpose = row.Text(1);
  v.passed = row.Integer(2) != 0;
  v.rule = row.Text(3);
  v.checks = row.Text(4);
  v.diff = row.Text(5);
  SP_TRY(v.evidence_hash, row.OptionalAt<Sha256Digest>(6));
  SP_TRY(v.log_hash, row.OptionalAt<Sha256Digest>(7));
  SP_TRY(v.reference_set, row.OptionalAt<Sha256Digest>(8));
  v.reference_epoch = static_cast<uint64_t>(row.Integer(9));
  v.policy_epoch = static_cast<uint64_t>(row.Integer(10));
  v.issuer_epoch = static_cast<uint64_t>(row.Integer(11));
  v.attested_at = row.Time(12);
  v.valid_until = row.Time(13);
  v.judged_at = row.Time(14);
  v.device_id = row.Text(15);
  return v;
}

}  // namespace

Result<std::optional<VerdictRow>> FindVerdict(Connection& connection, std::string_view id) {
  SP_TRY(const auto row,
         connection.QueryOne(
             "SELECT id, purpose, passed, rule, checks, diff, evidence_sha256, log_sha256, "
             "reference_set, reference_epoch, policy_epoch, issuer_epoch, attested_at, "
             "valid_until, judged_at, device_id FROM verdicts WHERE id = :id",
             "ttittttttiiiiiit", {id}));
  if (!row) return std::optional<VerdictRow>();
  SP_TRY(VerdictRow verdict, ReadVerdict(*row));
  return std::optional(std::move(verdict));
}

Result<std::vector<VerdictRow>> ListVerdicts(Connection& connection, std::string_view device_id,
                                             int64_t limit) {
  SP_TRY(const auto rows,
         connection.Query(
             "SELECT id, purpose, passed, rule, checks, diff, evidence_sha256, log_sha256, "
             "reference_set, reference_epoch, policy_epoch, issuer_epoch, attested_at, "
             "valid_until, judged_at, device_id FROM verdicts WHERE device_id = :device ORDER BY "
             "judged_at DESC, id LIMIT :limit",
             "ttittttttiiiiiit", {device_id, std::min(limit, kListMax)}));
  std::vector<VerdictRow> out;
  for (const Row& row : rows) {
    SP_TRY(VerdictRow verdict, ReadVerdict(row));
    out.push_back(std::move(verdict));
  }
  return out;
}

Result<int64_t> CountSameFailure(Connection& connection, std::string_view rule,
                                 std::string_view diff, UnixTime since) {
  SP_TRY(const auto row,
         connection.QueryOne(
             "SELECT COUNT(DISTINCT device_id) FROM verdicts "
             "WHERE rule = :rule AND judged_at >= :since AND diff = :diff AND passed = 0",
             "i", {rule, since, diff}));
  return row.has_value() ? row->Integer(0) : 0;
}

Result<int64_t> PruneHistory(Connection& connection, UnixTime now) {
  SP_TRY(const int64_t tickets,
         connection.Execute("DELETE FROM spent_tickets WHERE spent_at < :before",
                            {now - kSpentTicketsKept}));
  SP_TRY(const int64_t verdicts,
         connection.Execute("DELETE FROM verdicts WHERE judged_at < :before AND passed = 1 AND "
                            "evidence_sha256 IS NULL",
                            {now - kHistoryKept}));
  SP_TRY(const int64_t certificates,
         connection.Execute("DELETE FROM certificates WHERE not_after < :before",
                            {now - kHistoryKept}));
  SP_TRY(const int64_t observed,
         connection.Execute("DELETE FROM observed_digests WHERE last_seen < :before",
                            {now - kObservedKept}));
  return tickets + verdicts + certificates + observed;
}

}  // namespace sallyport::server
