#include "attestation-server/operations/audit_export.h"

#include <algorithm>
#include <charconv>

#include "attestation-server/enrolment/judging.h"
#include "attestation-server/store/issuance.h"
#include "attestation-server/store/references.h"

namespace sallyport::server {
namespace {

constexpr size_t kPieceBytes = 1 << 20;  // in base64 it fits a message

Error Unknown(const std::string& what) {
  return Error{Reason::kNotFound, "the store has no " + what, "export.unknown"};
}

Result<uint64_t> ParseNumber(const std::string& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return Error{Reason::kInvalidArgument, "'" + text + "' is no number", "export.key"};
  return value;
}

Result<Sha256Digest> ParseHash(const std::string& text) {
  Result<Sha256Digest> hash = ParseSha256(text);
  if (!hash) return Error{Reason::kInvalidArgument, "expected 64 hex digits", "export.key"};
  return hash;
}

}  // namespace

Result<JsonValue> AuditExport::Answer(const ExportQuery& query, UnixTime now) {
  if (query.section == "checkpoint") return MakeCheckpoint(now);
  if (query.section == "audit") return Page(query.key);
  if (query.section == "verdict") return Verdict(query.key);
  if (query.section == "reference") return Reference(query.key);
  if (query.section == "policy") return Policy(query.key);
  if (query.section == "blob") return Blob(query.key, query.offset);
  return Error{Reason::kInvalidArgument, "no section '" + query.section + "'", "export.section"};
}

Result<JsonValue> AuditExport::MakeCheckpoint(UnixTime now) {
  SP_TRY(Snapshot snapshot, database_.Read());
  SP_TRY(const auto row, snapshot.connection().QueryOne(
                             "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", "it"));
  Checkpoint checkpoint{service_.trust_domain, service_.incarnation, {}, now};
  if (row) {
    checkpoint.head.seq = static_cast<uint64_t>(row->Integer(0));
    SP_TRY(checkpoint.head.hash, row->FixedAt<Sha256Digest>(1));
  }
  SP_TRY(pki::SignedStatement statement, signer_.SignCheckpoint(checkpoint));
  return ExportHeadJson({std::move(statement), service_.trust_bundle});
}

Result<JsonValue> AuditExport::Page(const std::string& after) {
  SP_TRY(const uint64_t seq, ParseNumber(after));
  SP_TRY(Snapshot snapshot, database_.Read());
  SP_TRY(const std::vector<AuditEntry> entries,
         ReadAudit(snapshot.connection(), seq, kExportPageEntries));
  std::vector<JsonValue> out;
  size_t bytes = 0;
  for (const AuditEntry& entry : entries) {
    out.push_back(EntryJson(entry));
    bytes += entry.record ? entry.record->size() : 0;
    if (bytes >= kExportPageBytes) break;
  }
  return JsonValue::Object({{"entries", JsonValue::Array(std::move(out))}});
}

Result<JsonValue> AuditExport::Verdict(const std::string& id) {
  SP_TRY(Snapshot snapshot, database_.Read());
  SP_TRY(const std::optional<VerdictRow> row, FindVerdict(snapshot.connection(), id));
  if (!row) return Unknown("verdict " + id);
  return VerdictJson(*row);
}

Result<JsonValue> AuditExport::Reference(const std::string& id) {
  SP_TRY(const Sha256Digest hash, ParseHash(id));
  SP_TRY(Snapshot snapshot, database_.Read());
  SP_TRY(const std::optional<ReferenceRow> row, References(snapshot.connection()).Find(hash));
  if (!row) return Unknown("reference set " + id);
  return JsonValue::Object({{"json", row->json}});
}

Result<JsonValue> AuditExport::Policy(const std::string& version) {
  SP_TRY(const uint64_t number, ParseNumber(version));
  SP_TRY(Snapshot snapshot, database_.Read());
  SP_TRY(const auto row,
         snapshot.connection().QueryOne("SELECT manifest FROM policies WHERE version = :version",
                                        "t", {number}));
  if (!row) return Unknown("policy " + version);
  return JsonValue::Object({{"manifest", row->Text(0)}});
}

Result<JsonValue> AuditExport::Blob(const std::string& hash, uint64_t offset) {
  SP_TRY(const Sha256Digest name, ParseHash(hash));
  SP_TRY(const Bytes bytes, blobs_.Get(name));
  if (offset >= bytes.size()) return Error{Reason::kInvalidArgument, "past the end", "export.key"};
  const size_t size = std::min(kPieceBytes, bytes.size() - static_cast<size_t>(offset));
  return JsonValue::Object(
      {{"size", bytes.size()},
       {"data", Base64Encode(ByteView(bytes).subspan(static_cast<size_t>(offset), size))}});
}

}  // namespace sallyport::server
