// Rejudge: a stored verdict reached again, offline, by the code that the service runs.
#pragma once

#include <functional>
#include <memory>

#include "attestation-server/archive/export_folder.h"

namespace sallyport::server {

// StoredJudgement is a stored proof, judged again. Its parts borrow from each other: it stays where
// it is.
struct StoredJudgement {
  StoredJudgement() = default;
  StoredJudgement(const StoredJudgement&) = delete;
  StoredJudgement& operator=(const StoredJudgement&) = delete;
  StoredProof stored;
  OpenReferences references;
  Case proof;
  Verdict verdict;
};

// JudgeStored judges `document` again; the log and the reference sets that it names come from the
// two readers. Errors of these, of ReadEvidenceDocument and of OpenStored.
using BlobReader = std::function<Result<Bytes>(const Sha256Digest&)>;
using ReferenceTextReader = std::function<Result<std::string>(const Sha256Digest&)>;
Result<std::unique_ptr<StoredJudgement>> JudgeStored(std::string_view document,
                                                     const BlobReader& blob,
                                                     const ReferenceTextReader& reference);

struct Rejudgement {
  VerdictRow then;
  VerdictRow now;  // of the same evidence, by this program
  // The first field that differs (passed, rule, checks, diff, reference_set, log_sha256,
  // attested_at, valid_until); empty when the verdict is the same.
  std::string difference;
  bool same() const { return difference.empty(); }
};

// CompareVerdicts names the first field that differs; empty: none.
std::string CompareVerdicts(const VerdictRow& then, const VerdictRow& now);

// Rejudge walks the whole export, so that what is judged is what the signed audit names. kNotFound
// "verdict.unknown", "verdict.not-kept" (a renewal: its evidence is known by its hash only); rules
// of ExportFolder, ReadEvidenceDocument and OpenStored otherwise.
Result<Rejudgement> Rejudge(ExportFolder& folder, const std::string& verdict_id);

}  // namespace sallyport::server
