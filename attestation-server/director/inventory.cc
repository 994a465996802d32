#include "attestation-server/director/inventory.h"

namespace sallyport::server {
namespace {

constexpr int64_t kPage = 1000;

policy::DeviceState StateOf(const DeviceRecord& device) {
  switch (device.state) {
    case DeviceState::kPending: return policy::DeviceState::kPending;
    case DeviceState::kEnrolled: return policy::DeviceState::kEnrolled;
    case DeviceState::kActive: return policy::DeviceState::kActive;
    case DeviceState::kQuarantined: return policy::DeviceState::kQuarantined;
    case DeviceState::kRetired: return policy::DeviceState::kRetired;
  }
  std::abort();
}

policy::Tier TierOf(pki::Tier tier) {
  switch (tier) {
    case pki::Tier::kNone: return policy::Tier::kNone;
    case pki::Tier::kEnrolled: return policy::Tier::kEnrolled;
    case pki::Tier::kAttested: return policy::Tier::kAttested;
    case pki::Tier::kMeasured: return policy::Tier::kMeasured;
  }
  std::abort();
}

}  // namespace

Result<std::vector<DeviceRecord>> LoadDevices(Connection& connection) {
  std::vector<DeviceRecord> all;
  std::string after;
  while (true) {
    SP_TRY(std::vector<DeviceRecord> page, Devices(connection).List(after, kPage));
    const bool last = page.size() < static_cast<size_t>(kPage);
    if (!page.empty()) after = page.back().name;
    std::ranges::move(page, std::back_inserter(all));
    if (last) return all;
  }
}

policy::Inventory InventoryOf(const std::vector<DeviceRecord>& devices, UnixTime now) {
  policy::Inventory out;
  for (const DeviceRecord& device : devices) {
    if (device.state == DeviceState::kRetired) continue;
    const bool proven = device.attested_at.ms > 0 && PostureAt(device, now) == Posture::kPassing;
    out.devices.push_back(
        {device.id, device.name, device.placement.site, device.placement.tags, TierOf(device.tier),
         StateOf(device),
         proven ? std::optional<Duration>(now - device.attested_at) : std::nullopt});
  }
  return out;
}

std::vector<policy::DeviceFacts> FactsOf(const std::vector<DeviceRecord>& devices) {
  std::vector<policy::DeviceFacts> out;
  for (const DeviceRecord& device : devices)
    out.push_back({device.id, device.name, device.placement.site, device.placement.tags,
                   policy::Tier::kNone, StateOf(device), device.epoch, device.endpoint});
  return out;
}

}  // namespace sallyport::server
