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

Result<OpenReferences> OpenReferencesOf(const StoredProof& stored,
                                        const ReferenceTextReader& reference) {
  std::vector<JudgedReference> rows;
  for (const OpenReference& each : stored.references) {
    ReferenceRow row;
    row.id = each.id;
    row.device_class = each.device_class;
    row.release = each.release;
    SP_TRY(row.json, reference(each.id));
    rows.push_back({std::move(row), each.role});
  }
  ReferenceReader reader(rows.size() + 1);
  return reader.Open(rows, stored.ticket.bank);
}

}  // namespace

Result<std::unique_ptr<StoredJudgement>> JudgeStored(std::string_view document,
                                                     const BlobReader& blob,
                                                     const ReferenceTextReader& reference) {
  auto out = std::make_unique<StoredJudgement>();
  SP_TRY(out->stored, ReadEvidenceDocument(document));
  Bytes log;
  if (out->stored.sent_log()) {
    SP_TRY(log, blob(out->stored.log_hash));
  }
  SP_TRY(out->references, OpenReferencesOf(out->stored, reference));
  SP_TRY(out->proof, OpenStored(out->stored, std::move(log)));
  out->verdict = JudgeCase(out->proof, out->stored.terms, out->references.candidates);
  return out;
}

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
  SP_TRY(
      const auto again,
      JudgeStored(
          AsText(document), [&folder](const Sha256Digest& name) { return folder.ReadBlob(name); },
          [&folder](const Sha256Digest& id) { return folder.ReadReference(id); }));
  out.now = RowOf(again->proof, again->verdict, again->references);
  out.difference = CompareVerdicts(out.then, out.now);
  return out;
}

}  // namespace sallyport::server
