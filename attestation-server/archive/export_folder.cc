#include "attestation-server/archive/export_folder.h"

#include "attestation-server/store/limits.h"
#include "pki/ca/trust_bundle.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

Error Missing(const std::string& path) {
  return Error{Reason::kMismatch, path + " is not there", "export.missing"};
}

Result<pki::PublicKey> AuditKey(std::string_view trust_bundle) {
  SP_TRY(pki::TrustBundle bundle, pki::ParseTrustBundle(trust_bundle));
  if (!bundle.audit_key)
    return Error{Reason::kNotFound, "the trust bundle names no audit key", "checkpoint.key"};
  return *std::move(bundle.audit_key);
}

// Exporter is one run of WriteExport.
class Exporter {
 public:
  Exporter(FileSystem& files, std::string folder, const ExportSource& source)
      : files_(files),
        folder_(std::move(folder)),
        source_(source),
        blobs_(files, BlobsPath(folder_)) {}

  Result<ExportReport> Run() {
    if (files_.Open(CheckpointPath(folder_), OpenMode::kRead).has_value())
      return Error{Reason::kAlreadyExists, folder_ + " holds an export", "export.exists"};
    SP_TRY(const JsonValue answer, source_({"checkpoint"}));
    SP_TRY(const ExportHead head, ParseExportHead(JsonCursor(answer)));
    SP_TRY(const pki::PublicKey key, AuditKey(head.trust_bundle));
    SP_TRY(report_.checkpoint, VerifyCheckpoint(key, head.checkpoint));
    for (uint64_t seq = 0; seq < report_.checkpoint.head.seq;) {
      SP_TRY(seq, TakePage(seq));
    }
    SP_TRY(Write(CheckpointPath(folder_), WriteJson(ExportHeadJson(head))));
    return report_;
  }

 private:
  Result<Unit> Write(const std::string& path, std::string_view text) {
    SP_TRY(files_.MakeDirectories(ParentDirectory(path)));
    return WriteFileAtomically(files_, path, AsBytes(text));
  }

  // TakePage writes what follows `after`, and returns the last sequence number in it.
  Result<uint64_t> TakePage(uint64_t after) {
    SP_TRY(const JsonValue answer, source_({"audit", std::to_string(after)}));
    SP_TRY(const std::vector<AuditEntry> entries, ParsePage(WriteJson(answer)));
    if (entries.empty()) return Error{Reason::kMismatch, "the audit ends early", "audit.sequence"};
    std::vector<JsonValue> kept;
    uint64_t last = after;
    for (const AuditEntry& entry : entries) {
      if (entry.seq > report_.checkpoint.head.seq) break;
      SP_TRY(TakeNamed(entry));
      kept.push_back(EntryJson(entry));
      last = entry.seq;
    }
    const JsonValue page = JsonValue::Object({{"entries", JsonValue::Array(std::move(kept))}});
    SP_TRY(Write(PagePath(folder_, after + 1), WriteJson(page)));
    return last;
  }

  Result<Unit> TakeNamed(const AuditEntry& entry) {
    SP_TRY(const std::optional<AppliedPolicy> policy, PolicyBy(entry));
    if (policy) SP_TRY(TakePolicy(*policy));
    SP_TRY(const std::optional<JudgedEntry> judged, JudgedBy(entry));
    if (!judged) return Unit{};
    if (judged->document.empty()) {
      ++report_.renewals;
      return Unit{};
    }
    ++report_.verdicts;
    return TakeVerdict(*judged);
  }

  Result<Unit> TakePolicy(const AppliedPolicy& policy) {
    SP_TRY(const JsonValue answer, source_({"policy", std::to_string(policy.version)}));
    SP_TRY(const std::string_view manifest, JsonCursor(answer).GetString("manifest"));
    ++report_.policies;
    return Write(PolicyPath(folder_, policy.manifest_sha256), manifest);
  }

  Result<Unit> TakeVerdict(const JudgedEntry& judged) {
    SP_TRY(const JsonValue verdict, source_({"verdict", judged.verdict}));
    SP_TRY(Write(VerdictPath(folder_, judged.verdict), WriteJson(verdict)));
    SP_TRY(const Sha256Digest hash, ParseSha256(judged.document));
    SP_TRY(const Bytes document, TakeBlob(hash));
    SP_TRY(const StoredProof stored, ReadEvidenceDocument(AsText(document)));
    if (stored.sent_log()) SP_TRY(TakeBlob(stored.log_hash));
    for (const OpenReference& reference : stored.references) SP_TRY(TakeReference(reference.id));
    return Unit{};
  }

  Result<Unit> TakeReference(const Sha256Digest& id) {
    const std::string path = ReferencePath(folder_, id);
    if (files_.Open(path, OpenMode::kRead).has_value()) return Unit{};
    SP_TRY(const JsonValue answer, source_({"reference", HexEncode(id)}));
    SP_TRY(const std::string_view json, JsonCursor(answer).GetString("json"));
    ++report_.references;
    return Write(path, json);
  }

  // TakeBlob fetches a blob piece by piece, unless it is there: neighbours send the same log.
  Result<Bytes> TakeBlob(const Sha256Digest& hash) {
    if (Result<Bytes> there = blobs_.Get(hash); there.has_value()) return there;
    Bytes bytes;
    uint64_t size = 1;
    while (bytes.size() < size) {
      SP_TRY(const JsonValue answer, source_({"blob", HexEncode(hash), bytes.size()}));
      const JsonCursor piece(answer);
      SP_TRY(const int64_t total, piece.GetInteger("size", 1, kEvidenceBlobMax));
      SP_TRY(const std::string_view data, piece.GetString("data"));
      SP_TRY(const Bytes more, Base64Decode(data));
      if (more.empty()) return Error{Reason::kMismatch, "a blob ends early", "evidence.blob"};
      Append(bytes, more);
      size = static_cast<uint64_t>(total);
    }
    if (pki::Sha256(bytes) != hash)
      return Error{Reason::kMismatch, "blob is not what its name says", "evidence.blob"};
    SP_TRY(blobs_.Put(bytes));
    return bytes;
  }

  FileSystem& files_;
  const std::string folder_;
  const ExportSource& source_;
  EvidenceBlobs blobs_;
  ExportReport report_;
};

}  // namespace

Result<ExportReport> WriteExport(FileSystem& files, const std::string& folder,
                                 const ExportSource& source) {
  return Exporter(files, folder, source).Run();
}

Result<ExportFolder> ExportFolder::Open(FileSystem& files, std::string folder,
                                        std::string_view trust_bundle) {
  const std::string path = CheckpointPath(folder);
  const Result<Bytes> text = ReadFile(files, path, kExportFileMax);
  if (!text) return text.error().reason == Reason::kNotFound ? Missing(path) : text.error();
  SP_TRY(const JsonValue json, ParseJson(AsText(*text)));
  SP_TRY(const ExportHead head, ParseExportHead(JsonCursor(json)));
  SP_TRY(const pki::PublicKey key,
         AuditKey(trust_bundle.empty() ? std::string_view(head.trust_bundle) : trust_bundle));
  SP_TRY(Checkpoint checkpoint, VerifyCheckpoint(key, head.checkpoint));
  return ExportFolder(files, std::move(folder), std::move(checkpoint));
}

Result<Bytes> ExportFolder::Read(const std::string& path) {
  Result<Bytes> bytes = ReadFile(files_, path, kExportFileMax);
  if (!bytes && bytes.error().reason == Reason::kNotFound) return Missing(path);
  return bytes;
}

Result<Unit> ExportFolder::Walk(const std::function<Result<Unit>(const AuditEntry&)>& see) {
  AuditVerifier verifier;
  while (verifier.head().seq < checkpoint_.head.seq) {
    SP_TRY(const Bytes text, Read(PagePath(folder_, verifier.head().seq + 1)));
    SP_TRY(const std::vector<AuditEntry> page, ParsePage(AsText(text)));
    if (page.empty()) return Error{Reason::kMismatch, "an empty page", "audit.sequence"};
    for (const AuditEntry& entry : page) {
      SP_TRY(verifier.Check(entry));
      SP_TRY(see(entry));
    }
  }
  if (verifier.head() != checkpoint_.head)
    return Error{Reason::kMismatch, "the audit is not the one of the checkpoint",
                 "checkpoint.head"};
  return Unit{};
}

Result<ExportReport> ExportFolder::Check() {
  ExportReport report{.checkpoint = checkpoint_};
  SP_TRY(Walk([&](const AuditEntry& entry) -> Result<Unit> {
    SP_TRY(const std::optional<AppliedPolicy> policy, PolicyBy(entry));
    if (policy) {
      ++report.policies;
      SP_TRY(CheckPolicy(*policy));
    }
    SP_TRY(const std::optional<JudgedEntry> judged, JudgedBy(entry));
    if (!judged) return Unit{};
    if (judged->document.empty()) {
      ++report.renewals;
      return Unit{};
    }
    ++report.verdicts;
    return CheckVerdict(*judged);
  }));
  const Result<std::vector<std::string>> references = files_.List(folder_ + "/references");
  report.references = references ? references->size() : 0;
  return report;
}

Result<Unit> ExportFolder::CheckVerdict(const JudgedEntry& entry) {
  SP_TRY(ReadVerdict(entry));
  SP_TRY(const Sha256Digest hash, ParseSha256(entry.document));
  SP_TRY(const Bytes document, ReadBlob(hash));
  SP_TRY(const StoredProof stored, ReadEvidenceDocument(AsText(document)));
  if (stored.sent_log()) SP_TRY(ReadBlob(stored.log_hash));
  for (const OpenReference& reference : stored.references) SP_TRY(ReadReference(reference.id));
  return Unit{};
}

Result<Unit> ExportFolder::CheckPolicy(const AppliedPolicy& policy) {
  SP_TRY(const Bytes manifest, Read(PolicyPath(folder_, policy.manifest_sha256)));
  if (HexEncode(pki::Sha256(manifest)) != policy.manifest_sha256)
    return Error{Reason::kMismatch, "the policy is not the one that was applied", "export.policy"};
  return Unit{};
}

Result<VerdictRow> ExportFolder::ReadVerdict(const JudgedEntry& entry) {
  SP_TRY(const Bytes text, Read(VerdictPath(folder_, entry.verdict)));
  if (HexEncode(pki::Sha256(text)) != entry.verdict_sha256)
    return Error{Reason::kMismatch, "verdict " + entry.verdict + " is not the one in the audit",
                 "export.verdict"};
  SP_TRY(const JsonValue json, ParseJson(AsText(text), {.size_max = kExportFileMax}));
  return ParseVerdict(JsonCursor(json));
}

Result<Bytes> ExportFolder::ReadBlob(const Sha256Digest& hash) {
  Result<Bytes> bytes = EvidenceBlobs(files_, BlobsPath(folder_)).Get(hash);
  if (!bytes && bytes.error().reason == Reason::kNotFound)
    return Missing("evidence blob " + HexEncode(hash));
  return bytes;
}

Result<std::string> ExportFolder::ReadReference(const Sha256Digest& id) {
  SP_TRY(const Bytes text, Read(ReferencePath(folder_, id)));
  if (pki::Sha256(text) != id)
    return Error{Reason::kMismatch, "reference set " + HexEncode(id) + " was changed",
                 "export.reference"};
  return ToString(text);
}

}  // namespace sallyport::server
