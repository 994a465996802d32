// An audit export in a folder: written from the answers of a service, and checked without one.
// Everything in it hangs on the signed checkpoint: entries by the chain, verdicts and evidence by
// hashes in the entries, logs and reference sets by hashes in the evidence.
#pragma once

#include <functional>

#include "attestation-server/archive/checkpoint.h"
#include "attestation-server/archive/export_files.h"
#include "attestation-server/enrolment/evidence_document.h"
#include "attestation-server/store/evidence_blobs.h"
#include "pki/base/file_system.h"

namespace sallyport::server {

using ExportSource = std::function<Result<JsonValue>(const ExportQuery&)>;

struct ExportReport {
  Checkpoint checkpoint;
  uint64_t verdicts = 0;  // whose evidence is there
  uint64_t renewals = 0;  // whose evidence was not kept
  uint64_t references = 0;
  uint64_t policies = 0;
};

// WriteExport asks `source` for everything up to one checkpoint and writes checkpoint.json last.
// kAlreadyExists ("export.exists") when `folder` holds an export; errors of the source and the
// files.
Result<ExportReport> WriteExport(FileSystem& files, const std::string& folder,
                                 const ExportSource& source);

// ExportFolder reads an export. Borrows the files.
class ExportFolder {
 public:
  // Open verifies the checkpoint by the audit key of `trust_bundle` (its text), or by that of the
  // export itself when it is empty: that shows no origin, only that nothing was changed since.
  // kMismatch "export.missing"; kUnsupported "export.format"; kNotFound "checkpoint.key" for a
  // bundle without one; rules of VerifyCheckpoint and ParseTrustBundle.
  static Result<ExportFolder> Open(FileSystem& files, std::string folder,
                                   std::string_view trust_bundle);
  const Checkpoint& checkpoint() const { return checkpoint_; }

  // Walk checks the chain from its first entry to the checkpoint and shows each entry to `see`.
  // kMismatch: rules of AuditVerifier, "checkpoint.head", "export.missing".
  Result<Unit> Walk(const std::function<Result<Unit>(const AuditEntry&)>& see);
  // Check is Walk with everything that the entries name.
  Result<ExportReport> Check();

  // ReadVerdict: kMismatch "export.verdict" (not what the audit says), "export.missing".
  Result<VerdictRow> ReadVerdict(const JudgedEntry& entry);
  // ReadBlob: kMismatch "evidence.blob" (changed), "export.missing".
  Result<Bytes> ReadBlob(const Sha256Digest& hash);
  // ReadReference: kMismatch "export.reference" (changed), "export.missing".
  Result<std::string> ReadReference(const Sha256Digest& id);

 private:
  ExportFolder(FileSystem& files, std::string folder, Checkpoint checkpoint)
      : files_(files), folder_(std::move(folder)), checkpoint_(std::move(checkpoint)) {}
  Result<Bytes> Read(const std::string& path);
  Result<Unit> CheckVerdict(const JudgedEntry& entry);
  Result<Unit> CheckPolicy(const AppliedPolicy& policy);

  FileSystem& files_;
  const std::string folder_;
  const Checkpoint checkpoint_;
};

}  // namespace sallyport::server
