#include "attestation-server/archive/rejudge.h"

namespace sallyport::server {
namespace {

Result<JudgedEntry> FindEntry(ExportFolder& folder, const std::string& verdict_id) {
  std::optional<JudgedEntry> found;
  SP_TRY(folder.Walk([&](const AuditEntry& entry) -> Result<Unit> {
    SP_TRY(std::optional<JudgedEntry> judged, JudgedBy(entry));
    if (judged && judged->verdict == verdict_id) found = std::move(judged);
    return Unit{};
  }));
  if (!found)
    return Error{Reason::kNotFound, "the export has no verdict " + verdict_id, "verdict.unknown"};
  if (found->document.empty())
    return Error{Reason::kNotFound,
                 "renewals within a boot are not stored; the audit has the hash of their "
                 "evidence, here " +
                     found->evidence,
                 "verdict.not-kept"};
  return *std::move(found);
}

Result<OpenReferences> OpenReferencesOf(ExportFolder& folder, const StoredProof& stored) {
  std::vector<JudgedReference> rows;
  for (const OpenReference& each : stored.references) {
    ReferenceRow row;
    row.id = each.id;
    row.device_class = each.device_class;
    row.release = each.release;
    SP_TRY(row.json, folder.ReadReference(each.id));
    rows.push_back({std::move(row), each.role});
  }
  ReferenceReader reader(rows.size() + 1);
  return reader.Open(rows);
}

}  // namespace

std::string CompareVerdicts(const VerdictRow& then, const VerdictRow& now) {
  if (then.passed != now.passed) return "passed";
  if (then.rule != now.rule) return "rule";
  if (then.checks != now.checks) return "checks";
  if (then.diff != now.diff) return "diff";
  if (then.reference_set != now.reference_set) return "reference_set";
  if (then.log_hash != now.log_hash) return "log_sha256";
  if (then.attested_at != now.attested_at) return "attested_at";
  if (then.valid_until != now.valid_until) return "valid_until";
  return "";
}

Result<Rejudgement> Rejudge(ExportFolder& folder, const std::string& verdict_id) {
  SP_TRY(const JudgedEntry entry, FindEntry(folder, verdict_id));
  Rejudgement out;
  SP_TRY(out.then, folder.ReadVerdict(entry));
  SP_TRY(const Sha256Digest hash, ParseSha256(entry.document));
  SP_TRY(const Bytes document, folder.ReadBlob(hash));
  SP_TRY(const StoredProof stored, ReadEvidenceDocument(AsText(document)));
  Bytes log;
  if (stored.sent_log()) {
    SP_TRY(log, folder.ReadBlob(stored.log_hash));
  }
  SP_TRY(const OpenReferences references, OpenReferencesOf(folder, stored));
  SP_TRY(const Case proof, OpenStored(stored, std::move(log)));
  out.now = RowOf(proof, JudgeCase(proof, stored.terms, references.candidates), references);
  out.difference = CompareVerdicts(out.then, out.now);
  return out;
}

}  // namespace sallyport::server
