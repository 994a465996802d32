// UEFI firmware capsules (UEFI 2.10, 8.5.3 and 23.3): which firmware one updates, read from its
// headers. A claim that the release signer checks; the firmware itself verifies what it installs.
// Pure.
#pragma once

#include <string>

#include "pki/base/bytes.h"

namespace sallyport::ota {

// FirmwareVersion is an entry of the EFI system resource table (UEFI 2.10, 23.4).
struct FirmwareVersion {
  std::string fw_class;  // GUID as Linux shows it
  uint32_t version;
  bool operator==(const FirmwareVersion&) const = default;
};

// IsFirmwareClass: 8-4-4-4-12 lower-case hex digits.
[[nodiscard]] bool IsFirmwareClass(std::string_view text);

// CapsuleFirmwareClass returns the firmware class that a capsule of exactly these bytes updates.
// kMalformed, rule capsule.header: no firmware management capsule, another length than it says, or
// not exactly one payload.
Result<std::string> CapsuleFirmwareClass(ByteView capsule);

}  // namespace sallyport::ota
