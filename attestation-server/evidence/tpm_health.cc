#include "attestation-server/evidence/tpm_health.h"

#include <algorithm>
#include <string>

namespace sallyport::server {
namespace {

struct VendorKind {
  std::string_view id;  // hex of four characters
  TpmKind kind;
};
// Nuvoton, Infineon, ST, Microchip (Atmel), Nationz and Broadcom sell chips; Intel (PTT), AMD,
// Qualcomm and Samsung put theirs into firmware; Microsoft, Google, VMware and IBM (libtpms)
// simulate.
constexpr VendorKind kVendors[] = {
    {"4E544300", TpmKind::kDiscrete}, {"49465800", TpmKind::kDiscrete},
    {"53544D20", TpmKind::kDiscrete}, {"41544D4C", TpmKind::kDiscrete},
    {"4E545A00", TpmKind::kDiscrete}, {"4252434D", TpmKind::kDiscrete},
    {"494E5443", TpmKind::kFirmware}, {"414D4400", TpmKind::kFirmware},
    {"51434F4D", TpmKind::kFirmware}, {"534D534E", TpmKind::kFirmware},
    {"4D534654", TpmKind::kVirtual},  {"474F4F47", TpmKind::kVirtual},
    {"564D5700", TpmKind::kVirtual},  {"49424D00", TpmKind::kVirtual},
    {"00001014", TpmKind::kVirtual}};
constexpr std::string_view kPrefix = "id:";

}  // namespace

TpmKind KindOfTpm(std::string_view ek_manufacturer) {
  if (!ek_manufacturer.starts_with(kPrefix)) return TpmKind::kUnknown;
  std::string id(ek_manufacturer.substr(kPrefix.size()));
  for (char& c : id)
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  const auto found = std::ranges::find(kVendors, id, &VendorKind::id);
  return found == std::end(kVendors) ? TpmKind::kUnknown : found->kind;
}

}  // namespace sallyport::server
