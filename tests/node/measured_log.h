// MeasuredLog: what firmware measures goes into a PCR and into a crypto-agile TCG event log in one
// step, so that the log replays to the PCRs (PC Client Platform Firmware Profile 1.05, section 10).
#pragma once

#include "pki/base/digest.h"
#include "tests/node/esys_tpm.h"

namespace sallyport::node {

enum class EventType : uint32_t {
  kNoAction = 3,
  kSeparator = 4,
  kEventTag = 6,
  kCrtmVersion = 8,
  kIpl = 0x0D,
  kVariableDriverConfig = 0x80000001,
  kVariableBoot = 0x80000002,
  kBootServicesApplication = 0x80000003,
  kGpt = 0x80000006,
  kEfiAction = 0x80000007,
  kFirmwareBlob = 0x80000008,
  kVariableAuthority = 0x800000E0,
};

// MeasuredLog borrows the TPM. One thread at a time.
class MeasuredLog {
 public:
  // `banks` are those that are on: each of them is extended and logged.
  MeasuredLog(EsysTpm& tpm, std::vector<PcrBankId> banks);
  // Measure extends `pcr` with the hash of `content` and logs it with `data`.
  Result<Unit> Measure(uint32_t pcr, EventType type, const std::vector<ByteView>& content,
                       ByteView data);
  // MeasureData is Measure of what is logged.
  Result<Unit> MeasureData(uint32_t pcr, EventType type, ByteView data);
  const Bytes& bytes() const { return log_; }

 private:
  EsysTpm& tpm_;
  const std::vector<PcrBankId> banks_;
  Bytes log_;
};

}  // namespace sallyport::node
