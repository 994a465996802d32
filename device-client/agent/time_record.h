// The last signed time together with what the TPM's clock showed then: after a cold boot without
// the server it says how long this machine has been running since, whatever its wall clock says. A
// hint on an untrusted disk: it can make things expire, never come back.
#pragma once

#include <optional>
#include <string>

#include "pki/base/file_system.h"
#include "pki/base/time.h"
#include "pki/tpm/attest.h"

namespace sallyport::device {

struct TimeRecord {
  UnixTime signed_time;
  uint64_t clock_ms;  // TPMS_CLOCK_INFO
  uint32_t reset_count;
  bool operator==(const TimeRecord&) const = default;
};

// EstimateTime is a lower bound, in milliseconds exact to the TPM's own: the clock runs while the
// TPM has power and does not go back. The record says nothing (its signed time alone) once the
// clock or the reset count is lower than recorded: TPM2_Clear began them anew.
UnixTime EstimateTime(const TimeRecord& record, const pki::ClockInfo& now);

// LoadTimeRecord: nullopt for a missing file; kMalformed for what does not parse.
Result<std::optional<TimeRecord>> LoadTimeRecord(FileSystem& files, const std::string& directory);
Result<Unit> SaveTimeRecord(FileSystem& files, const std::string& directory,
                            const TimeRecord& record);

}  // namespace sallyport::device
