// The closed grammar of each PCR: which events may be there, how often and in which order (PC
// Client Platform Firmware Profile 1.05, section 3.3.4 and 10.4). The event type is not hashed, so
// a relabelled event must not gain anything: whatever the grammar does not know is a fault, never
// ignored. Pure; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/evidence/event_log.h"

namespace sallyport::server {

// GrammarFault names the first offending event; null when something is missing. Borrows the log.
// Rules: grammar.event (type not allowed in this PCR), grammar.data (data does not hash to its
// digest), grammar.separator (missing, twice, a firmware error), grammar.disguised (a separator's
// digest under another type), grammar.boot-option (PCR 4: calls and returns), grammar.variable (PCR
// 7: unknown, twice, missing, after the separator), grammar.secure-boot (PCR 7: malformed state, no
// authority, empty keys), grammar.debug (PCR 7: firmware in debug mode).
struct GrammarFault {
  std::string_view rule;
  const Event* event = nullptr;
  std::string detail;
};

// PcrGrammar is what is left of a PCR once its grammar has been checked.
struct PcrGrammar {
  std::optional<GrammarFault> fault;
  std::vector<const Event*> judged;  // in order, without the firmware's structure; borrows the log
  std::optional<bool> secure_boot;   // PCR 7 only
};

PcrGrammar CheckGrammar(const EventLog& log, uint32_t pcr, Bank bank);

// IsStructural: whether a digest is part of the firmware's own structure of `pcr` (a separator, or
// a boot-option action of PCR 4), which references leave out.
bool IsStructural(uint32_t pcr, ByteView digest, Bank bank);

}  // namespace sallyport::server
