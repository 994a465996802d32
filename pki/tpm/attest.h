// TPMS_ATTEST (TPM 2.0 Part 2, 10.12.12) of the four kinds we ask for. Parsing proves nothing:
// verify the signature over the raw bytes first (signature.h), then compare what was parsed. Pure;
// thread-safe.
#pragma once

#include <variant>

#include "pki/tpm/name.h"
#include "pki/tpm/pcr_selection.h"

namespace sallyport::pki {

inline constexpr size_t kAttestBytesMax = 1024;   // the largest of our kinds is about 250
inline constexpr size_t kExtraDataBytesMax = 66;  // TPM2B_DATA: a TPMT_HA of the largest digest

struct ClockInfo {
  uint64_t clock_ms;
  uint32_t reset_count;    // rises at TPM Reset: a boot
  uint32_t restart_count;  // rises at TPM Restart and Resume
  bool safe;               // false: the clock may have gone back after an unorderly shutdown
  bool operator==(const ClockInfo&) const = default;
};

struct QuoteBody {
  PcrSelection selection;
  Bytes pcr_digest;
  bool operator==(const QuoteBody&) const = default;
};
struct CertifyBody {
  Bytes name;
  Bytes qualified_name;
  bool operator==(const CertifyBody&) const = default;
};
struct CreationBody {
  Bytes object_name;
  Bytes creation_hash;
  bool operator==(const CreationBody&) const = default;
};

// NvBody is TPMS_NV_CERTIFY_INFO: what an NV index of this Name holds from `offset` on.
struct NvBody {
  Bytes index_name;
  uint16_t offset;
  Bytes contents;
  bool operator==(const NvBody&) const = default;
};

struct Attest {
  Bytes qualified_signer;  // Qualified Name of the key that signed
  Bytes extra_data;        // the caller's qualifying data
  ClockInfo clock;
  uint64_t firmware_version;
  std::variant<QuoteBody, CertifyBody, CreationBody, NvBody> body;

  const QuoteBody* quote() const { return std::get_if<QuoteBody>(&body); }
  const CertifyBody* certify() const { return std::get_if<CertifyBody>(&body); }
  const CreationBody* creation() const { return std::get_if<CreationBody>(&body); }
  const NvBody* nv() const { return std::get_if<NvBody>(&body); }
  bool operator==(const Attest&) const = default;
};

// ParseAttest reads exactly one TPMS_ATTEST. kTooLarge; kMalformed (rules attest.structure:
// truncated, trailing or oversized; attest.magic: not made by a TPM; attest.safe: neither 0 nor 1;
// those of ReadPcrSelection); kUnsupported (attest.type).
Result<Attest> ParseAttest(ByteView bytes);

}  // namespace sallyport::pki
