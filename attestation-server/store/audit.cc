#include "attestation-server/store/audit.h"

#include "attestation-server/store/limits.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {

Sha256Digest AuditCommitment(const Sha256Digest& salt, std::string_view record) {
  return pki::Sha256({salt.view(), AsBytes(record)});
}

Sha256Digest AuditHash(const Sha256Digest& prev_hash, uint64_t seq, std::string_view event,
                       const Sha256Digest& commitment) {
  ByteWriter body;
  body.Raw(prev_hash.view()).BigU64(seq).Sized32(AsBytes(event)).Raw(commitment.view());
  return pki::LabelledDigest("sallyport/audit/v1", {body.bytes()});
}

Result<AuditAppender> AuditAppender::Load(Connection& connection, Random& random) {
  SP_TRY(const auto row,
         connection.QueryOne("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", "it"));
  AuditHead head;
  if (row.has_value()) {
    head.seq = static_cast<uint64_t>(row->Integer(0));
    SP_TRY(head.hash, row->FixedAt<Sha256Digest>(1));
  }
  return AuditAppender(head, random);
}

Result<uint64_t> AuditAppender::Append(Connection& connection, std::string_view event,
                                       const JsonValue& record) {
  const std::string text = WriteJson(record);
  if (text.size() > kAuditRecordMax)
    return Error{Reason::kTooLarge, "audit record", "audit.record-size"};
  const uint64_t seq = head_.seq + 1;
  const Sha256Digest salt = random_->Next<Sha256Digest>();
  const Sha256Digest commitment = AuditCommitment(salt, text);
  const Sha256Digest hash = AuditHash(head_.hash, seq, event, commitment);
  SP_TRY(connection.Execute(
      "INSERT INTO audit (seq, prev_hash, event, commitment, hash, salt, record) "
      "VALUES (:seq, :prev, :event, :commitment, :hash, :salt, :record)",
      {seq, head_.hash, event, commitment, hash, salt, text}));
  head_ = AuditHead{seq, hash};
  return seq;
}

Result<std::vector<AuditEntry>> ReadAudit(Connection& connection, uint64_t after, int64_t limit) {
  SP_TRY(const auto rows,
         connection.Query("SELECT seq, prev_hash, event, commitment, hash, salt, record FROM audit "
                          "WHERE seq > :after ORDER BY seq LIMIT :limit",
                          "itttttt", {after, std::min(limit, kListMax)}));
  std::vector<AuditEntry> out;
  out.reserve(rows.size());
  for (const Row& row : rows) {
    SP_TRY(const auto prev_hash, row.FixedAt<Sha256Digest>(1));
    SP_TRY(const auto commitment, row.FixedAt<Sha256Digest>(3));
    SP_TRY(const auto hash, row.FixedAt<Sha256Digest>(4));
    SP_TRY(const auto salt, row.OptionalAt<Sha256Digest>(5));
    out.push_back({static_cast<uint64_t>(row.Integer(0)), prev_hash, row.Text(2), commitment, hash,
                   salt, row.IsNull(6) ? std::nullopt : std::optional(row.Text(6))});
  }
  return out;
}

Result<Unit> AuditVerifier::Check(const AuditEntry& entry) {
  const auto refuse = [&](std::string_view what, std::string_view rule) {
    return Error{Reason::kMismatch, "entry " + std::to_string(entry.seq) + ": " + std::string(what),
                 rule};
  };
  if (entry.seq != head_.seq + 1) return refuse("sequence has a gap", "audit.sequence");
  if (entry.prev_hash != head_.hash)
    return refuse("does not follow its predecessor", "audit.chain");
  if (entry.salt.has_value() != entry.record.has_value())
    return refuse("half of a record", "audit.commitment");
  if (entry.salt.has_value() && AuditCommitment(*entry.salt, *entry.record) != entry.commitment)
    return refuse("record is not the one committed to", "audit.commitment");
  if (AuditHash(entry.prev_hash, entry.seq, entry.event, entry.commitment) != entry.hash)
    return refuse("hash differs", "audit.hash");
  head_ = AuditHead{entry.seq, entry.hash};
  return Unit{};
}

Result<AuditHead> VerifyAudit(Connection& connection) {
  AuditVerifier verifier;
  while (true) {
    SP_TRY(const std::vector<AuditEntry> page,
           ReadAudit(connection, verifier.head().seq, kListMax));
    for (const AuditEntry& entry : page) SP_TRY(verifier.Check(entry));
    if (static_cast<int64_t>(page.size()) < kListMax) return verifier.head();
  }
}

Result<int64_t> ForgetAuditRecords(Connection& connection, uint64_t up_to) {
  return connection.Execute(
      "UPDATE audit SET salt = NULL, record = NULL WHERE seq <= :up_to AND record IS NOT NULL",
      {up_to});
}

}  // namespace sallyport::server
