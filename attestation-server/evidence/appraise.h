// Appraisal: whether authenticated PCRs and the log behind them are those of an expectation, and if
// not, which event differs first. Pure; thread-safe.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "attestation-server/evidence/check.h"
#include "attestation-server/evidence/expectation.h"
#include "attestation-server/evidence/quote.h"

namespace sallyport::server {

// EventDifference is the first difference in one PCR. The expected side is a reference value: it is
// for operators and never sent to a device (OwnEvent is what a device may learn).
struct EventDifference {
  uint32_t pcr;
  std::optional<uint32_t> event_index =
      {};  // in the log; nothing when a value differs or an event is missing
  std::string type = {};
  std::string got = {};   // hex digest; empty when an event is missing
  std::string data = {};  // what the event says of itself, a hint
  std::string expected =
      {};                 // hex digest; empty when there is one event too many, or a grammar fault
  std::string what = {};  // what the reference says of the expected event, or the fault
};
std::string OwnEvent(const EventDifference& difference);

// PcrRule names the check of one PCR: "pcr.0" to "pcr.23".
std::string_view PcrRule(uint32_t pcr);

struct PcrFinding {
  uint32_t pcr;
  std::optional<EventDifference> difference = {};  // nothing: the PCR matches
  size_t matched_events = 0;
  // The check it is reported as: PcrRule, or what was refused of a PCR 7 that is judged by content:
  //   secure-boot.off, .pk, .kek, .db, .dbx, .authority, .event
  std::string_view rule = {};
  std::vector<const Quirk*> quirks = {};  // of the grammar, applied on the way; static storage
};

struct Appraisal {
  // One for each PCR of the expectation, by index; then PCR 12 and 13 where PCR 11 is judged.
  std::vector<PcrFinding> findings;
  bool secure_boot_applies = true;  // the expectation is for devices in this Secure Boot state
  bool matched() const;
  // Nearness orders failed appraisals: PCRs that match, then events that match.
  std::pair<size_t, size_t> Nearness() const;
};

// Appraise judges every PCR of `expected`. A PCR outside the quoted selection differs, and without
// a log (null) so does every PCR that is judged by events.
//
// Where PCR 11 is judged, a quoted PCR 12 or 13 that `expected` does not list must hold nothing:
// what was given to the image's stub beside it (command line, credentials, extensions) is approved
// by being listed.
//
// `known` are all alternatives of the device. A boot option that ran and returned to the firmware
// before the one that was started is left out of the comparison when nothing was measured of it
// (it was missing, or refused), or when what was measured of it are the first PCR 4 events of a
// known alternative in this Secure Boot state: an image the device would also be admitted with, had
// it come up. What such an image measured elsewhere is left out as a whole list of that
// alternative. Any other image that ran before is a difference: it may have changed what came next.
Appraisal Appraise(const Expectation& expected, const AuthenticatedPcrs& pcrs,
                   const ReplayedLog* log, std::span<const Candidate> known = {});

// CompareReplay returns the first quoted PCR whose value is not the replayed one: also a PCR that
// the log does not touch must hold its initial value. PCRs of `elsewhere` are replayed from another
// list (ima.h).
std::optional<EventDifference> CompareReplay(const AuthenticatedPcrs& pcrs, const ReplayedLog& log,
                                             uint32_t elsewhere = 0);

// SecureBootState is the state shown by the grammar of PCR 7, when PCR 7 is quoted, there is a log,
// and it is faultless.
std::optional<bool> SecureBootState(const AuthenticatedPcrs& pcrs, const ReplayedLog* log);

}  // namespace sallyport::server
