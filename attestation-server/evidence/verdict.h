// Judge: from evidence to a verdict (architecture 6.4). Signature, structure, selection, digest,
// log replay, grammar, reference values; every rule with its result. Pure: no clock, no I/O;
// thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "attestation-server/evidence/appraise.h"
#include "attestation-server/evidence/ima.h"
#include "attestation-server/evidence/bank_audit.h"
#include "attestation-server/evidence/certified_floors.h"
#include "attestation-server/evidence/key_evidence.h"
#include "attestation-server/evidence/null_name.h"
#include "pki/base/digest.h"
#include "pki/base/time.h"
#include "pki/x509/identity_extension.h"

namespace sallyport::server {

// LogInput: a replayed log (borrowed), or why there is none.
struct LogInput {
  const ReplayedLog* log = nullptr;
  std::optional<Error> refusal;  // the error of ReplayedLog::Make; nothing when no log was sent
};

// EvidenceInput borrows everything. `quote.replay` is filled in by Judge.
struct EvidenceInput {
  const AttestationKey* ak = nullptr;
  QuoteInput quote;
  LogInput log;
  std::optional<KeyInput> key;
  std::optional<ImaInput> ima = {};  // looked at when JudgeContext::ima is set
  std::optional<BankAuditInput> bank_audit = {};
  std::optional<NullNameInput> null_name = {};
  std::vector<FloorInput> floors = {};  // empty: none shown
};

// NewBootContext is what a boot has to show once: at enrolment and at re-attestation.
struct NewBootContext {
  BankAuditExpectation bank_audit;
  bool require_null_name = false;
};

struct JudgeContext {
  QuoteExpectation quote;
  std::optional<Bytes> frozen_ak_name;  // nothing at the first enrolment
  std::optional<KeyExpectation> key;    // set when a TLS key must be proven
  std::optional<NewBootContext> new_boot = {};
  // Set when the class asks for the files that ran: where the list goes on. `quote.pcr_mask` then
  // covers kImaPcrMask; what may run is in `candidates`.
  std::optional<ImaStart> ima = {};
  // Quoted PCRs that the event log need not replay to: kImaPcr, or those that nothing judges.
  uint32_t pcrs_elsewhere = 0;
  ByteView floors_extra_data = {};  // FloorsQualifyingData(T)
  std::span<const Candidate> candidates;
  std::string reference_version;  // named in the verdict
  UnixTime challenge_made_at;     // attested_at: never when the evidence arrived
  Duration evidence_lifetime;
  // tier_cap lowers the tier for reasons outside the evidence (no vendor chain, key protection of
  // the class).
  pki::Tier tier_cap = pki::Tier::kMeasured;
};

struct Verdict {
  CheckList checks;
  pki::Tier tier = pki::Tier::kNone;
  // ak_verified: the AK itself is good and signed this quote; before that a refusal explains
  // nothing to the caller.
  bool ak_verified = false;
  std::optional<AuthenticatedQuote> quote;
  std::optional<ProvenTlsKey> key;
  std::optional<BootId> boot_id;
  std::optional<Sha256Digest> log_hash;
  std::optional<bool> secure_boot;
  std::optional<ImaStart> ima_end;  // set when the measurement list was judged: where it ended
  NullNameState null_name = NullNameState::kUnknown;
  std::optional<CertifiedFloors> floors;  // absent: none were shown, or a rule failed
  std::optional<ReferenceRole> matched;   // which of the device's sets
  std::string matched_label;              // which alternative; of a failing verdict the nearest one
  std::string reference_version;
  UnixTime attested_at;
  UnixTime valid_until;               // attested_at unless passing
  std::vector<EventDifference> diff;  // against the nearest alternative, one entry per PCR

  // passing: every rule ran and passed.
  bool passing() const { return checks.AllPassed(); }
  // rule is the first failed rule, else the first that was not run, else empty.
  std::string_view rule() const;
};

// Judge runs, in this order: AkRules, LogRules, QuoteRules, log.replay, BankAuditRules and those of
// CheckNullName for a new boot, reference.available, one rule per judged PCR ("pcr.4"),
// reference.match, KeyRules when a key must be proven, FloorRules when floors are shown, ImaRules
// when asked for, which are not run unless all before them passed. Passing means that every one ran
// and passed. `measured` needs PCR 4 and PCR 7 among the judged ones; else `attested`.
Verdict Judge(const EvidenceInput& evidence, const JudgeContext& context);

// The steps of Judge that a tool may run alone. Each decides its rules in `checks`, which must hold
// them.
//   log.present, log.format (legacy-log, cc-log, log.bank, or replayed in another bank),
//   log.structure (the others of ReplayedLog::Make)
std::span<const std::string_view> LogRules();
const ReplayedLog* CheckLog(const LogInput& input, pki::HashAlgorithm bank, CheckList& checks);
//   log.replay: every quoted PCR but those of `elsewhere` holds what the log replays to
std::optional<EventDifference> CheckReplay(const AuthenticatedPcrs& pcrs, const ReplayedLog& log,
                                           CheckList& checks, uint32_t elsewhere = 0);
//   reference.available, pcr.N (added here), reference.match; `log` may be null (see Appraise)
struct ReferenceOutcome {
  const Candidate* nearest = nullptr;  // the match, when matched
  bool matched = false;
  std::vector<EventDifference> diff;
};
ReferenceOutcome CheckReference(std::span<const Candidate> candidates,
                                const AuthenticatedPcrs& pcrs, const ReplayedLog* log,
                                CheckList& checks);

// ComputeBootId: docs/protocol.md "Names".
BootId ComputeBootId(ByteView ak_name, uint64_t generation, const pki::ClockInfo& clock,
                     const Sha256Digest& log_hash);

}  // namespace sallyport::server
