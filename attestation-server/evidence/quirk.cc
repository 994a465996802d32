#include "attestation-server/evidence/quirk.h"

#include <algorithm>

#include "attestation-server/evidence/event_data.h"

namespace sallyport::server {
namespace {

// The S-CRTM version GUID that AMI's Aptio V logs in the place of a version.
constexpr std::string_view kAptio = "1efb6b540c1d5540a4ad4ef4bf17b83a";
// Lenovo's N40E series; the letters after N40ET are the release.
constexpr std::string_view kLenovoFirst = "N40ET00W";
constexpr std::string_view kLenovoLast = "N40ET99W";

constexpr Quirk kQuirks[] = {
    {QuirkId::kBootOptionUnlogged, "quirk.ami-boot-option", "AMI Aptio V", kAptio, kAptio,
     "grammar.boot-option",
     "measures no boot option call; the applications are still judged one by one"},
    {QuirkId::kExitUnlogged, "quirk.ami-exit", "AMI Aptio V", kAptio, kAptio, "grammar.exit",
     "does not measure the end of boot services"},
    {QuirkId::kExitUnlogged, "quirk.lenovo-exit", "Lenovo N40E", kLenovoFirst, kLenovoLast,
     "grammar.exit", "does not measure the end of boot services"},
    {QuirkId::kShimAuthorityByte, "quirk.shim-authority", "shim before 15.3", "", "",
     "grammar.data", "logs one byte more of an authority than it hashes; no rule reads that byte"},
    {QuirkId::kRedHatGrubText, "quirk.redhat-grub", "GRUB 2.02 of RHEL 8", "", "", "grammar.text",
     "logs the command without its quotes; the digest alone is judged"},
    {QuirkId::kSystemdBootPcr8, "quirk.sd-boot-pcr8", "systemd-boot before 251", "", "",
     "grammar.text", "measures load options into PCR 8; the digest alone is judged"},
};

// Versions are short; what is longer is no version.
constexpr size_t kVersionBytesMax = 256;

std::string VersionText(ByteView data) {
  std::string text;
  for (size_t i = 0; i + 1 < data.size(); i += 2) {
    const bool end = data[i] == 0 && data[i + 1] == 0;
    if (end) break;
    if (data[i + 1] != 0 || data[i] < 0x20 || data[i] > 0x7E) return HexEncode(data);
    text += static_cast<char>(data[i]);
  }
  while (text.ends_with(' ')) text.pop_back();
  return text.empty() ? HexEncode(data) : text;
}

}  // namespace

std::span<const Quirk> Quirks() { return kQuirks; }

std::optional<std::string> FirmwareVersion(const EventLog& log, Bank bank) {
  for (const Event& event : log.events) {
    if (event.pcr != 0 || event.type == EventType::kNoAction) continue;
    // What follows the firmware's own measurements may be anybody's, whatever it is called.
    if (IsSeparatorDigest(event.digest(bank), bank)) return std::nullopt;
    if (event.type != EventType::kScrtmVersion) continue;
    if (event.data.size() > kVersionBytesMax || MatchData(event, bank) != DataMatch::kMatches)
      return std::nullopt;
    return VersionText(event.data);
  }
  return std::nullopt;
}

const Quirk* FindQuirk(QuirkId id, const std::optional<std::string>& firmware) {
  const auto covers = [&](const Quirk& quirk) {
    if (quirk.id != id) return false;
    if (quirk.first.empty()) return true;
    return firmware && *firmware >= quirk.first && *firmware <= quirk.last;
  };
  const auto found = std::ranges::find_if(kQuirks, covers);
  return found == std::end(kQuirks) ? nullptr : &*found;
}

}  // namespace sallyport::server
