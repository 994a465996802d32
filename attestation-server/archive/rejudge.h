// Rejudge: a stored verdict reached again, offline, by the code that the service runs.
#pragma once

#include "attestation-server/archive/export_folder.h"

namespace sallyport::server {

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
