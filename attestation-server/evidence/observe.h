// Observe: what a boot showed, written as an expectation that operators may approve. Pure;
// thread-safe.
#pragma once

#include "attestation-server/evidence/verdict.h"

namespace sallyport::server {

// LacksReferenceOnly: the evidence is authentic and whole in every rule; all that failed is that no
// reference has what it shows. Nothing else is ever turned into reference values. Files that ran
// are not judged before that (ima.* not run): they are when the boot is judged anew.
bool LacksReferenceOnly(const Verdict& verdict);

// DiffersOn lists the PCRs that are not those of `expected`.
std::vector<uint32_t> DiffersOn(const Expectation& expected, const AuthenticatedPcrs& pcrs,
                                const ReplayedLog& log, std::span<const Candidate> known);

// Observe is `base` with each PCR that differs replaced by what was seen: by events where `base`
// has events, by value where it has a value. Without a base it is every quoted PCR: by events where
// the log has events to judge, else by value. kPolicyDenied "observe.secure-boot" when PCR 7 is
// judged by what it says and says what is not allowed (write such a reference by hand);
// "observe.grammar" when the log of a PCR to be taken breaks its grammar; "observe.refused" when
// the boot would not pass even so. It says nothing of files that ran, nor of `pcrs_elsewhere`.
Result<Expectation> Observe(const Expectation* base, const AuthenticatedPcrs& pcrs,
                            const ReplayedLog& log, std::span<const Candidate> known,
                            uint32_t pcrs_elsewhere = 0);

}  // namespace sallyport::server
