// Rollback floors as the TPM itself says them (TPM2_NV_Certify, TPM 2.0 Part 3, 31.16): the AK
// signs the base and each of the five counters over the transcript of this proof
// (docs/rollback.md). Pure; thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "attestation-server/evidence/quote.h"
#include "pki/tpm/floor_indices.h"

namespace sallyport::server {

// FloorInput borrows: one certified index.
struct FloorInput {
  ByteView attest;     // TPMS_ATTEST of TPM2_NV_Certify by the AK
  ByteView signature;  // TPMT_SIGNATURE
};

// CertifiedFloors are counts that passed every rule; a floor is count - base.
struct CertifiedFloors {
  pki::FloorCounts base;
  pki::FloorCounts counts;
  pki::FloorCounts floors() const {
    pki::FloorCounts out{};
    for (size_t i = 0; i < out.size(); ++i) out[i] = counts[i] - base[i];
    return out;
  }
};

// Rules of CheckFloors, in the order in which they run:
//   floors.complete          the base, then each counter, and no more
// and of each of them:
//   floors.size floors.scheme floors.signature floors.magic floors.type floors.structure
//   floors.qualified-signer  as quote.qualified-signer
//   floors.extra-data        FloorsQualifyingData(T): it answers this challenge
//   floors.boot              made in the boot of the quote
//   floors.index             the index has the Name of ours: its number, that it is a counter (the
//                            base: written once and locked), its size, that nobody needs a policy
//   floors.contents          all of it, and nothing else, was certified
// and of all:
//   floors.base              no counter stands below where it began
std::span<const std::string_view> FloorRules();

// CheckFloors decides the rules above in `checks` (which must hold them). Nothing when one failed;
// the detail names the index.
std::optional<CertifiedFloors> CheckFloors(const AttestationKey& ak,
                                           std::span<const FloorInput> input, ByteView extra_data,
                                           AkParent ak_parent, const AuthenticatedQuote& quote,
                                           CheckList& checks);

}  // namespace sallyport::server
