// Judging: a case, what the server held against it, and the verdict as a row. The same code judges
// a proof that arrives and one that was kept (attestation-server/archive). Pure; thread-safe.
#pragma once

#include "attestation-server/enrolment/candidates.h"
#include "attestation-server/enrolment/intake.h"
#include "attestation-server/evidence/verdict.h"
#include "attestation-server/store/issuance.h"
#include "pki/base/json.h"

namespace sallyport::server {

// JudgeTerms is what a verdict depends on besides the evidence and the reference values. Whoever
// adds a member adds it to the evidence document (evidence_document.h).
struct JudgeTerms {
  uint32_t pcr_mask = 0;
  std::optional<Bytes> frozen_ak_name;
  std::optional<ClockRecord> last;
  uint64_t reference_epoch = 0;
  Duration evidence_lifetime;
  std::optional<ImaStart> ima = {};  // the class asks for the files that ran
  uint32_t pcrs_elsewhere = 0;       // quoted, and not of the event log or not judged
};

Verdict JudgeCase(const Case& proof, const JudgeTerms& terms,
                  std::span<const Candidate> candidates);

// RowOf is `verdict` as it is stored, but for its id, its evidence and the epochs.
VerdictRow RowOf(const Case& proof, const Verdict& verdict, const OpenReferences& references);

// VerdictJson is a stored verdict as it is exported; the audit holds the hash of its text.
JsonValue VerdictJson(const VerdictRow& row);
// kMalformed (rules of JsonCursor, verdict.time, verdict.hash).
Result<VerdictRow> ParseVerdict(const JsonCursor& json);

}  // namespace sallyport::server
