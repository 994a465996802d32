// What a device's certified floors say beside those that it showed before. Pure.
//
// A finding is no posture: what the device runs is judged by reference values, and floors bound
// what it may install next. A quarantine would keep it from the release that raises its floors
// again, and from being told which it had; operators decide (docs/rollback.md).
#pragma once

#include <optional>

#include "attestation-server/evidence/certified_floors.h"
#include "attestation-server/store/floors.h"

namespace sallyport::server {

// The findings, the gravest first.
// The TPM counts less than it did. Not even TPM2_Clear does that: its state was put back.
inline constexpr std::string_view kFloorsCountBack = "floors.count-back";
// Floors are lower, and the TPM was not cleared since: somebody undefined the indices.
inline constexpr std::string_view kFloorsLowered = "floors.lowered";
// Floors are lower after TPM2_Clear: the generation has risen since they were whole.
inline constexpr std::string_view kFloorsCleared = "floors.cleared";
// Floors were shown before and are not now.
inline constexpr std::string_view kFloorsAbsent = "floors.absent";

// ExplainFloors says what a finding is and what to do; empty for none.
std::string ExplainFloors(std::string_view finding);

// UpdateFloors returns the row as it shall be; nothing for a device that never showed floors.
// `generation` is that of the boot which shows them. A finding goes when floors are shown that are
// no lower than the highest, with counts that have not fallen.
std::optional<FloorsRow> UpdateFloors(const std::string& device_id,
                                      const std::optional<FloorsRow>& recorded,
                                      const std::optional<CertifiedFloors>& shown,
                                      uint64_t generation, UnixTime now);

}  // namespace sallyport::server
