#include "attestation-server/operations/audit.h"

#include "attestation-server/store/audit.h"

namespace sallyport::server {
namespace {

JsonValue EntryJson(const AuditEntry& entry) {
  const Result<JsonValue> record =
      entry.record ? ParseJson(*entry.record) : Result<JsonValue>(JsonValue());
  return JsonValue::Object({{"seq", entry.seq},
                            {"event", entry.event},
                            {"record", record ? *record : JsonValue()},
                            {"hash", HexEncode(entry.hash)}});
}

}  // namespace

Result<JsonValue> TailAuditEntries(Database& database, uint64_t after_seq, int64_t limit) {
  SP_TRY(Snapshot snapshot, database.Read());
  uint64_t after = after_seq;
  if (after == 0) {
    SP_TRY(const std::optional<Row> row,
           snapshot.connection().QueryOne("SELECT COALESCE(MAX(seq), 0) FROM audit", "i"));
    const int64_t last = row ? row->Integer(0) : 0;
    after = static_cast<uint64_t>(std::max<int64_t>(0, last - limit));
  }
  SP_TRY(const std::vector<AuditEntry> entries, ReadAudit(snapshot.connection(), after, limit));
  std::vector<JsonValue> rows;
  for (const AuditEntry& entry : entries) rows.push_back(EntryJson(entry));
  return JsonValue::Array(std::move(rows));
}

Result<JsonValue> CheckAudit(Database& database) {
  SP_TRY(Snapshot snapshot, database.Read());
  SP_TRY(const AuditHead head, VerifyAudit(snapshot.connection()));
  return JsonValue::Object(
      {{"entries", head.seq}, {"head", HexEncode(head.hash)}, {"chain", "intact"}});
}

}  // namespace sallyport::server
