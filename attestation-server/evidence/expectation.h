// What a device's PCRs are expected to hold. Made by attestation-server/reference from imported
// files and from signed releases. Values; thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "attestation-server/evidence/event_data.h"
#include "attestation-server/evidence/reference_role.h"
#include "attestation-server/evidence/signature_list.h"

namespace sallyport::server {

// ExpectedEvent: `type` is compared when given; `what` is for people ("uki 1.4.2").
struct ExpectedEvent {
  std::optional<EventType> type;
  PcrDigest digest;
  std::string what;
};

// A PCR is judged by its final value, or by its exact ordered events. Separators of PCR 0 to 7 and
// the "Calling/Returning from EFI Application" actions of PCR 4 belong to the firmware's grammar
// (grammar.h) and are left out of the comparison on both sides.
using PcrValueExpected = PcrDigest;
using PcrEventsExpected = std::vector<ExpectedEvent>;

// SecureBootExpected judges PCR 7 by what it says, so that a newer dbx is no change: Secure Boot is
// on, PK, KEK and db hold nothing but what is allowed, dbx holds at least what is required, and an
// image was authorised by an allowed entry of db. Every other event (shim's authorities, further
// variables, disabled DMA protection, SPDM) must be one of `events`, in any order. The lists are
// sorted.
struct SecureBootExpected {
  std::vector<SignatureId> pk;
  std::vector<SignatureId> kek;
  std::vector<SignatureId> db;
  std::vector<SignatureId> dbx;
  std::vector<ExpectedEvent> events;
};
using PcrExpectation = std::variant<PcrValueExpected, PcrEventsExpected, SecureBootExpected>;

struct ImaExpected;  // evidence/ima.h

// Expectation is one complete alternative: every PCR in it must match.
struct Expectation {
  std::string label;
  std::map<uint32_t, PcrExpectation> pcrs = {};
  // When set, the alternative is only for devices whose (quoted) PCR 7 shows Secure Boot in this
  // state.
  std::optional<bool> secure_boot = {};
  // Files that may run, shared with a cache. A device may run what any of its alternatives allows.
  std::vector<std::shared_ptr<const ImaExpected>> ima = {};
};

// Candidate is an alternative a device may be judged under.
struct Candidate {
  ReferenceRole role = ReferenceRole::kCommitted;
  Expectation expectation;
};

}  // namespace sallyport::server
