// Quirks: how real firmware and boot loaders are known to depart from the specification, and which
// rule of the grammar each departure would break. A quirk is data, applies to the named builds
// alone, never lets an event go unjudged, and is shown in the verdict when it was applied. Pure;
// thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "attestation-server/evidence/event_log.h"

namespace sallyport::server {

enum class QuirkId : uint8_t {
  kBootOptionUnlogged,
  kExitUnlogged,
  kShimAuthorityByte,
  kRedHatGrubText,
  kSystemdBootPcr8,
};

// Quirk: `first` to `last` is the range of firmware versions it holds for, compared as text with
// FirmwareVersion; both empty for software that any firmware may start.
struct Quirk {
  QuirkId id;
  std::string_view check;  // the verdict's check when applied, "quirk.ami-boot-option"
  std::string_view vendor;
  std::string_view first;
  std::string_view last;
  std::string_view rule;  // the rule it relaxes
  std::string_view reason;
};

std::span<const Quirk> Quirks();

// FirmwareVersion is the content of EV_S_CRTM_VERSION in PCR 0: text when it is UTF-16, else hex.
// Nothing when the log has none before the separator, or one whose data does not hash to its digest in `bank`.
std::optional<std::string> FirmwareVersion(const EventLog& log, Bank bank);

// FindQuirk returns the row that covers `id` for this firmware, null when there is none. Static
// storage.
const Quirk* FindQuirk(QuirkId id, const std::optional<std::string>& firmware);

}  // namespace sallyport::server
