#include "attestation-server/evidence/event_type.h"

#include <cstdio>

namespace sallyport::server {
namespace {

struct TypeRow {
  EventType type;
  DigestRule rule;
  std::string_view name;
};

constexpr TypeRow kTypes[] = {
    {EventType::kPrebootCert, DigestRule::kMeasurement, "EV_PREBOOT_CERT"},
    {EventType::kPostCode, DigestRule::kMeasurement, "EV_POST_CODE"},
    {EventType::kUnused, DigestRule::kMeasurement, "EV_UNUSED"},
    {EventType::kNoAction, DigestRule::kNone, "EV_NO_ACTION"},
    {EventType::kSeparator, DigestRule::kHashOfData, "EV_SEPARATOR"},
    {EventType::kAction, DigestRule::kHashOfData, "EV_ACTION"},
    {EventType::kEventTag, DigestRule::kMeasurement, "EV_EVENT_TAG"},
    {EventType::kScrtmContents, DigestRule::kMeasurement, "EV_S_CRTM_CONTENTS"},
    {EventType::kScrtmVersion, DigestRule::kHashOfData, "EV_S_CRTM_VERSION"},
    {EventType::kCpuMicrocode, DigestRule::kMeasurement, "EV_CPU_MICROCODE"},
    {EventType::kPlatformConfigFlags, DigestRule::kMeasurement, "EV_PLATFORM_CONFIG_FLAGS"},
    {EventType::kTableOfDevices, DigestRule::kMeasurement, "EV_TABLE_OF_DEVICES"},
    {EventType::kCompactHash, DigestRule::kMeasurement, "EV_COMPACT_HASH"},
    {EventType::kIpl, DigestRule::kMeasurement, "EV_IPL"},
    {EventType::kIplPartitionData, DigestRule::kMeasurement, "EV_IPL_PARTITION_DATA"},
    {EventType::kNonhostCode, DigestRule::kMeasurement, "EV_NONHOST_CODE"},
    {EventType::kNonhostConfig, DigestRule::kMeasurement, "EV_NONHOST_CONFIG"},
    {EventType::kNonhostInfo, DigestRule::kMeasurement, "EV_NONHOST_INFO"},
    {EventType::kOmitBootDeviceEvents, DigestRule::kMeasurement, "EV_OMIT_BOOT_DEVICE_EVENTS"},
    {EventType::kPostCode2, DigestRule::kMeasurement, "EV_POST_CODE2"},
    {EventType::kVariableDriverConfig, DigestRule::kHashOfData, "EV_EFI_VARIABLE_DRIVER_CONFIG"},
    {EventType::kVariableBoot, DigestRule::kVariable, "EV_EFI_VARIABLE_BOOT"},
    {EventType::kBootServicesApplication, DigestRule::kMeasurement,
     "EV_EFI_BOOT_SERVICES_APPLICATION"},
    {EventType::kBootServicesDriver, DigestRule::kMeasurement, "EV_EFI_BOOT_SERVICES_DRIVER"},
    {EventType::kRuntimeServicesDriver, DigestRule::kMeasurement, "EV_EFI_RUNTIME_SERVICES_DRIVER"},
    {EventType::kGptEvent, DigestRule::kHashOfData, "EV_EFI_GPT_EVENT"},
    {EventType::kEfiAction, DigestRule::kHashOfData, "EV_EFI_ACTION"},
    {EventType::kPlatformFirmwareBlob, DigestRule::kMeasurement, "EV_EFI_PLATFORM_FIRMWARE_BLOB"},
    {EventType::kHandoffTables, DigestRule::kMeasurement, "EV_EFI_HANDOFF_TABLES"},
    {EventType::kPlatformFirmwareBlob2, DigestRule::kMeasurement, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"},
    {EventType::kHandoffTables2, DigestRule::kMeasurement, "EV_EFI_HANDOFF_TABLES2"},
    {EventType::kVariableBoot2, DigestRule::kVariable, "EV_EFI_VARIABLE_BOOT2"},
    {EventType::kGptEvent2, DigestRule::kMeasurement, "EV_EFI_GPT_EVENT2"},
    {EventType::kHcrtmEvent, DigestRule::kMeasurement, "EV_EFI_HCRTM_EVENT"},
    {EventType::kVariableAuthority, DigestRule::kHashOfData, "EV_EFI_VARIABLE_AUTHORITY"},
    {EventType::kSpdmFirmwareBlob, DigestRule::kMeasurement, "EV_EFI_SPDM_FIRMWARE_BLOB"},
    {EventType::kSpdmFirmwareConfig, DigestRule::kMeasurement, "EV_EFI_SPDM_FIRMWARE_CONFIG"},
    {EventType::kSpdmDevicePolicy, DigestRule::kHashOfData, "EV_EFI_SPDM_DEVICE_POLICY"},
    {EventType::kSpdmDeviceAuthority, DigestRule::kHashOfData, "EV_EFI_SPDM_DEVICE_AUTHORITY"},
};

const TypeRow* Find(EventType type) {
  for (const TypeRow& row : kTypes)
    if (row.type == type) return &row;
  return nullptr;
}

}  // namespace

std::optional<std::string_view> EventTypeName(EventType type) {
  const TypeRow* const row = Find(type);
  if (row == nullptr) return std::nullopt;
  return row->name;
}

std::string EventTypeLabel(EventType type) {
  if (const auto name = EventTypeName(type)) return std::string(*name);
  char text[11];
  std::snprintf(text, sizeof text, "0x%08x", static_cast<unsigned>(type));
  return text;
}

std::optional<EventType> EventTypeFromName(std::string_view name) {
  for (const TypeRow& row : kTypes)
    if (row.name == name) return row.type;
  return std::nullopt;
}

DigestRule RuleOf(EventType type) {
  const TypeRow* const row = Find(type);
  return row == nullptr ? DigestRule::kMeasurement : row->rule;
}

}  // namespace sallyport::server
