// Intake: from received bytes to a case that can be judged. What does not depend on the store
// happens here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation-server/enrolment/bounded_cache.h"
#include "attestation-server/enrolment/messages.h"
#include "attestation-server/enrolment/ticket.h"
#include "attestation-server/evidence/verdict.h"
#include "attestation-server/store/evidence_blobs.h"

namespace sallyport::server {

// CheckSizes refuses with kTooLarge or kMalformed before anything is parsed or hashed:
// "evidence.size", "evidence.quotes", "evidence.advertise"; kUnsupported "protocol.version".
Result<Unit> CheckSizes(const ProveInput& input);

// EvidenceHash covers every byte that was received, so that a retry is known by it.
Sha256Digest EvidenceHash(const ProveInput& input);

// Case is one proof, parsed. Borrows the evidence.
struct Case {
  Ticket ticket;
  const ReceivedEvidence* evidence = nullptr;
  Sha256Digest evidence_hash = Sha256Digest::FromArray({});
  Sha256Digest log_hash = Sha256Digest::FromArray({});
  std::shared_ptr<const AttestationKey> ak;
  Bytes csr_spki;
  std::vector<PcrValue> values;
  std::shared_ptr<const ReplayedLog> log;  // null: log_refusal says why, or none came
  std::optional<Error> log_refusal;
  Sha256Digest server_leaf_hash = Sha256Digest::FromArray({});  // of the channel that T is over
  Sha256Digest quote_extra_data = Sha256Digest::FromArray({});
  Sha256Digest key_qualifying_data = Sha256Digest::FromArray({});
  Sha256Digest floors_qualifying_data = Sha256Digest::FromArray({});

  bool log_unknown() const { return log_refusal.has_value() && log_refusal->rule == "log.unknown"; }
};

// ReadClaims parses what the evidence says into the case: PCR values, the key of the request. Rules
// of Intake::Open.
Result<Unit> ReadClaims(Case& out);
// ReadLog replays the log of the case, whose hash is known.
void ReadLog(Case& out, Bytes log);
// TranscriptOf is T but for the server's leaf. Needs ticket, evidence, ak and log_hash.
Result<pki::TranscriptFields> TranscriptOf(const Case& proof, std::string_view trust_domain);

// Intake is thread-safe. `blobs` is borrowed.
class Intake {
 public:
  Intake(EvidenceBlobs& blobs, std::string trust_domain);

  // Open makes the case. Errors of ParsePublicArea, ParseCsr; kMismatch "evidence.log-hash";
  // kMalformed "evidence.slot", "evidence.pcr-values"; for enrol kBadSignature "activation.proof":
  // the TPM of the EK did not open the credential, or did it for another transcript. Several server
  // leaves may be current: T is taken over the one that the quote answers to, else over the newest.
  Result<Case> Open(Ticket ticket, const Channel& channel, const ProveInput& input,
                    const Sha256Digest& evidence_hash);

 private:
  static Result<Unit> HashLog(Case& out);
  void FetchLog(Case& out);
  Result<Unit> Bind(Case& out, const Channel& channel);

  EvidenceBlobs& blobs_;
  const std::string trust_domain_;
  BoundedCache<Sha256Digest, ReplayedLog> logs_;
  BoundedCache<std::string, AttestationKey> keys_;
};

}  // namespace sallyport::server
