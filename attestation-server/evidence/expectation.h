// What a device's PCRs are expected to hold. Made by attestation-server/reference from imported
// files and from signed releases. Values; thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "attestation-server/evidence/event_data.h"
#include "attestation-server/evidence/reference_role.h"

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
using PcrExpectation = std::variant<PcrValueExpected, PcrEventsExpected>;

// Expectation is one complete alternative: every PCR in it must match.
struct Expectation {
  std::string label;
  std::map<uint32_t, PcrExpectation> pcrs = {};
  // When set, the alternative is only for devices whose (quoted) PCR 7 shows Secure Boot in this
  // state.
  std::optional<bool> secure_boot = {};
};

// Candidate is an alternative a device may be judged under.
struct Candidate {
  ReferenceRole role = ReferenceRole::kCommitted;
  Expectation expectation;
};

}  // namespace sallyport::server
