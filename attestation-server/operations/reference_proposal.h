// From a boot that failed to the reference set that would accept it, for operators to approve.
#pragma once

#include "attestation-server/operations/operator.h"
#include "attestation-server/store/evidence_blobs.h"
#include "pki/base/json.h"

namespace sallyport::server {

// ProposalScope: the device of the verdict alone, unless one of these.
struct ProposalScope {
  bool whole_class = false;
  bool all_same = false;                  // every failing device of the class that shows the same
  std::vector<std::string> devices = {};  // names or ids, besides the device of the verdict
};

// ReferenceProposals is thread-safe. Borrows database and blobs.
class ReferenceProposals {
 public:
  ReferenceProposals(Database& database, EvidenceBlobs& blobs)
      : database_(database), blobs_(blobs) {}

  // Propose judges the stored evidence of a failed verdict again and writes what it showed as a
  // reference file: what the nearest reference expects, with the PCRs that differ as they were. It
  // changes nothing: the file comes into force by Import and its approvals. Answers {"json", "id",
  // "class", "devices", "pcrs", "nearest", "state"}; state is null unless the set is stored.
  // Errors: kNotFound "verdict.unknown", "verdict.not-kept", "device.unknown"; kPolicyDenied
  // "proposal.passed" (the verdict is a pass), "proposal.authenticity" (more is wrong than a lack
  // of reference values), "proposal.release" (a release decides what differs: it can be accepted
  // for devices, not for the class), rules of Observe; kInvalidArgument "proposal.scope"; kMismatch
  // "proposal.class" (a device of another class).
  Result<JsonValue> Propose(std::string_view verdict_id, const ProposalScope& scope);

 private:
  Database& database_;
  EvidenceBlobs& blobs_;
};

}  // namespace sallyport::server
