// TPMS_CREATION_DATA (TPM 2.0 Part 2, 15.1): where and for whom a key was made. Pure; thread-safe.
#pragma once

#include "pki/tpm/attest.h"

namespace sallyport::pki {

inline constexpr size_t kCreationDataBytesMax = 1024;

struct CreationData {
  PcrSelection pcr_selection;
  Bytes pcr_digest;
  uint8_t locality;
  uint16_t parent_name_alg;  // TPM_ALG_NULL for a primary key
  Bytes parent_name;         // of a primary key: its hierarchy as four bytes
  Bytes parent_qualified_name;
  Bytes outside_info;  // the challenge's nonce

  // PrimaryOf: whether the key is a primary key of `hierarchy` (tpm::kNullHierarchy, ...).
  bool PrimaryOf(uint32_t hierarchy) const;
  bool operator==(const CreationData&) const = default;
};

// ParseCreationData reads exactly one TPMS_CREATION_DATA. kTooLarge; kMalformed (rule
// creation.structure and those of ReadPcrSelection).
Result<CreationData> ParseCreationData(ByteView bytes);

// CreationHash is the digest that TPM2_CertifyCreation signs: H_nameAlg(TPMS_CREATION_DATA as
// received).
Bytes CreationHash(HashAlgorithm name_alg, ByteView creation_data);

}  // namespace sallyport::pki
