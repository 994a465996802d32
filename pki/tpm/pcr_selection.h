// TPML_PCR_SELECTION (TPM 2.0 Part 2, 10.9.7). Pure; thread-safe.
#pragma once

#include <vector>

#include "pki/base/bytes.h"
#include "pki/tpm/constants.h"

namespace sallyport::pki {

inline constexpr size_t kPcrBanksMax = 8;  // every hash algorithm a TPM of today may have a bank of

struct PcrBank {
  uint16_t
      algorithm;  // TPM_ALG_ID of the bank, SHA-1 and unknown ones included: it is signed as it is
  uint32_t bitmap = 0;  // bit n is PCR n, n < tpm::kPcrCount
  bool Selects(unsigned pcr) const { return pcr < tpm::kPcrCount && ((bitmap >> pcr) & 1u) != 0; }
  bool operator==(const PcrBank&) const = default;
};

using PcrSelection = std::vector<PcrBank>;

// ReadPcrSelection takes one list off `reader`. kMalformed (rules selection.count,
// selection.select-size: not the three bytes of 24 PCRs, selection.bank-twice,
// selection.structure).
Result<PcrSelection> ReadPcrSelection(ByteReader& reader);
// WritePcrSelection writes what ReadPcrSelection reads.
void WritePcrSelection(ByteWriter& writer, const PcrSelection& selection);

}  // namespace sallyport::pki
