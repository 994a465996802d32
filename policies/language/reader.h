// Text to model: the schema of policy and inventory files. A key that the language does not have is
// an error, so that nothing an author wrote is silently without effect. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "policies/language/model.h"
#include "policies/language/zone_rule.h"

namespace sallyport::policy {

// ReadPolicy reads `sallyport: policy/v1`, resolves time zones with `zones` and checks every
// reference (checker.h). Returns nothing when `out` got an error. Device names are not resolved
// here.
std::optional<Policy> ReadPolicy(std::string_view text, const ZoneLookup& zones, Diagnostics& out);

// ReadInventory reads `sallyport: inventory/v1` (docs/operations/cli.md). A device's id is its
// `device_id`, or its name in inventories that have none.
std::optional<Inventory> ReadInventory(std::string_view text, Diagnostics& out);

// Limits; a policy beyond them is refused with E-RANGE.
inline constexpr size_t kGrantsMax = 20'000;     // twenty times the largest policy we measured
inline constexpr size_t kGroupsMax = 2'000;      // group unions are walked recursively
inline constexpr size_t kNameSizeMax = 64;       // names appear in logs and on the wire
inline constexpr size_t kFreeTextSizeMax = 500;  // `why` and `owner` travel to every device

}  // namespace sallyport::policy
