// Event types of a TCG event log and what their digests stand for (PC Client Platform Firmware
// Profile 1.05, section 10.4.1). Pure; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::server {

// EventType carries the wire value; a log may hold values that have no name here. The type is not
// covered by the digest: whoever holds the log can relabel an event.
enum class EventType : uint32_t {
  kPrebootCert = 0x00,
  kPostCode = 0x01,
  kUnused = 0x02,
  kNoAction = 0x03,
  kSeparator = 0x04,
  kAction = 0x05,
  kEventTag = 0x06,
  kScrtmContents = 0x07,
  kScrtmVersion = 0x08,
  kCpuMicrocode = 0x09,
  kPlatformConfigFlags = 0x0A,
  kTableOfDevices = 0x0B,
  kCompactHash = 0x0C,
  kIpl = 0x0D,
  kIplPartitionData = 0x0E,
  kNonhostCode = 0x0F,
  kNonhostConfig = 0x10,
  kNonhostInfo = 0x11,
  kOmitBootDeviceEvents = 0x12,
  kPostCode2 = 0x13,
  kVariableDriverConfig = 0x80000001,
  kVariableBoot = 0x80000002,
  kBootServicesApplication = 0x80000003,
  kBootServicesDriver = 0x80000004,
  kRuntimeServicesDriver = 0x80000005,
  kGptEvent = 0x80000006,
  kEfiAction = 0x80000007,
  kPlatformFirmwareBlob = 0x80000008,
  kHandoffTables = 0x80000009,
  kPlatformFirmwareBlob2 = 0x8000000A,
  kHandoffTables2 = 0x8000000B,
  kVariableBoot2 = 0x8000000C,
  kGptEvent2 = 0x8000000D,
  kHcrtmEvent = 0x80000010,
  kVariableAuthority = 0x800000E0,
  kSpdmFirmwareBlob = 0x800000E1,
  kSpdmFirmwareConfig = 0x800000E2,
  kSpdmDevicePolicy = 0x800000E3,
  kSpdmDeviceAuthority = 0x800000E4,
};

// DigestRule says what the digest of an event stands for.
enum class DigestRule : uint8_t {
  kNone,         // never extended, the digest means nothing
  kHashOfData,   // the digest must be the hash of the event data, which may then be believed
  kVariable,     // the hash of the whole variable structure or of the variable's content alone
  kMeasurement,  // the digest is of something outside the log; the data is a display hint
};

// EventTypeName returns the specification's name ("EV_SEPARATOR"), nullopt for a value without one.
std::optional<std::string_view> EventTypeName(EventType type);
// EventTypeLabel is the name, or the value as "0x8000abcd", for display.
std::string EventTypeLabel(EventType type);
// EventTypeFromName is the inverse of EventTypeName.
std::optional<EventType> EventTypeFromName(std::string_view name);
// RuleOf is kMeasurement for a type without a name: nothing may be read from its data.
DigestRule RuleOf(EventType type);

}  // namespace sallyport::server
