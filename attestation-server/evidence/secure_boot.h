// PCR 7 by content: keys, revocations and authorities instead of event digests. Pure; thread-safe.
#pragma once

#include "attestation-server/evidence/appraise.h"

namespace sallyport::server {

// JudgeSecureBoot judges PCR 7 of a log whose replay was compared with the quote. The finding's
// rule, in this order: pcr.7 (a fault of the grammar), secure-boot.off, secure-boot.pk, .kek, .db
// (malformed, or a key that is not allowed), .dbx (malformed, or a required entry is missing),
// .authority (nothing of an allowed entry of db started), .event (anything else that is not
// listed).
PcrFinding JudgeSecureBoot(uint32_t pcr, const SecureBootExpected& expected,
                           const ReplayedLog& log);

// DifferenceOf describes an event, FaultDifference a fault of the grammar.
EventDifference DifferenceOf(const Event& event, Bank bank);
EventDifference FaultDifference(uint32_t pcr, const GrammarFault& fault, Bank bank);

}  // namespace sallyport::server
