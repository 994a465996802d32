// The closed grammar of each PCR: which events may be there, how often and in which order (PC
// Client Platform Firmware Profile 1.06, section 3.3.4 and 10.4). The event type is not hashed, so
// a relabelled event must not gain anything: whatever the grammar does not know is a fault, never
// ignored. docs/verifier.md, "Event log", has one row per rule. Pure; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/evidence/event_log.h"
#include "attestation-server/evidence/quirk.h"
#include "attestation-server/evidence/signature_list.h"

namespace sallyport::server {

// GrammarFault names the first offending event; null when something is missing. Borrows the log.
// Rules:
//   grammar.event        type not allowed in this PCR
//   grammar.data         data does not hash to its digest
//   grammar.separator    missing, twice, unknown data, or a firmware error
//   grammar.disguised    a digest of the firmware's own structure under another type
//   grammar.order        PCR 0: an event after the separator
//   grammar.boot-option  PCR 4: calls and returns
//   grammar.exit         PCR 5: boot services were not left once, as the last thing
//   grammar.variable     PCR 7: unknown, twice, missing, after the separator, no authority
//   grammar.secure-boot  PCR 7: malformed state, nothing authorised, empty keys
//   grammar.debug        PCR 7: firmware in debug mode
//   grammar.text         PCR 8: a boot loader's command that does not hash to its digest
//   grammar.tag          PCR 9: a tagged event whose sizes disagree
//   grammar.stub         PCR 11: not the name and the content of a section in turns
//   grammar.mok          PCR 14: a variable that is not shim's
struct GrammarFault {
  std::string_view rule;
  const Event* event = nullptr;
  std::string detail;
};

// BootAttempt is one boot option of PCR 4: `count` events of `judged` from `first`. All but the
// last have returned to the firmware.
struct BootAttempt {
  size_t first;
  size_t count;
  bool returned;
};

// SecureBootContent is what the variables and authorities of a faultless PCR 7 say. A database that
// is no well-formed list is absent.
struct SecureBootContent {
  std::optional<std::vector<SignatureId>> pk, kek, db, dbx;
  struct Authority {
    const Event* event;               // borrows the log
    std::optional<SignatureId> from;  // the entry of db it names, when it names one
  };
  std::vector<Authority> authorities;
  std::vector<const Event*> others;  // further variables, actions, SPDM events
};

// PcrGrammar is what is left of a PCR once its grammar has been checked.
struct PcrGrammar {
  std::optional<GrammarFault> fault;
  std::vector<const Event*> judged;   // in order, without the firmware's structure; borrows the log
  std::vector<const Quirk*> quirks;   // applied, each once
  std::optional<bool> secure_boot;    // PCR 7 only
  std::vector<BootAttempt> attempts;  // PCR 4 only
  std::optional<SecureBootContent> secure_boot_state;  // PCR 7 only, when faultless
};

// CheckGrammar: `firmware` is FirmwareVersion of the same log and bank.
PcrGrammar CheckGrammar(const EventLog& log, uint32_t pcr, Bank bank,
                        const std::optional<std::string>& firmware = std::nullopt);

// IsStructural: whether a digest is part of the firmware's own structure of `pcr` (a separator, or
// a boot-option action of PCR 4), which references leave out.
bool IsStructural(uint32_t pcr, ByteView digest, Bank bank);

inline constexpr std::string_view kCallingBootOption = "Calling EFI Application from Boot Option";
inline constexpr std::string_view kReturningBootOption =
    "Returning from EFI Application from Boot Option";

}  // namespace sallyport::server
