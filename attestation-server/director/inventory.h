// The store's devices as the policy sees them: names for people and tests, facts for slices. Reads
// only.
#pragma once

#include "attestation-server/store/devices.h"
#include "policies/decision/rules.h"

namespace sallyport::server {

// LoadDevices reads every device, page by page.
Result<std::vector<DeviceRecord>> LoadDevices(Connection& connection);

// InventoryOf: retired devices are left out: a policy that names one does not compile.
policy::Inventory InventoryOf(const std::vector<DeviceRecord>& devices, UnixTime now);

// FactsOf: the tier is a floor that the peer's certificate must reach; the posture is in the state.
std::vector<policy::DeviceFacts> FactsOf(const std::vector<DeviceRecord>& devices);

}  // namespace sallyport::server
