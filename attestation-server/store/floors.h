// Rollback floors as devices' TPMs certified them (docs/rollback.md). Written at enrolment and
// re-attestation, never at a renewal.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/store/connection.h"
#include "pki/tpm/floor_indices.h"

namespace sallyport::server {

struct FloorsRow {
  std::string device_id;
  pki::FloorCounts floors{};   // as certified last
  pki::FloorCounts highest{};  // per counter, of all that were ever certified
  pki::FloorCounts counts{};   // the same of the TPM's own counts, which not even TPM2_Clear lowers
  uint64_t generation = 0;     // of the last boot that showed floors without a finding
  UnixTime certified_at = {};  // when `floors` were shown
  std::string finding = {};    // floors.* (docs/rollback.md); empty: none
  UnixTime finding_since = {};  // 0 without a finding
  bool operator==(const FloorsRow&) const = default;
};

Result<Unit> PutFloors(Connection& connection, const FloorsRow& row);
Result<std::optional<FloorsRow>> FindFloors(Connection& connection, std::string_view device_id);
Result<int64_t> CountFloorFindings(Connection& connection);

}  // namespace sallyport::server
