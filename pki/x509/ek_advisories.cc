#include "pki/x509/ek_advisories.h"

#include <algorithm>

namespace sallyport::pki {
namespace {

constexpr uint32_t kInfineon = 0x49465800;
constexpr uint32_t kStm = 0x53544D20;
constexpr uint32_t kIntel = 0x494E5443;
constexpr uint32_t kAmd = 0x414D4400;
constexpr uint32_t kNuvoton = 0x4E544300;
constexpr uint32_t kIbm = 0x00001014;  // what libtpms calls itself

constexpr uint32_t Firmware(uint32_t major, uint32_t minor) { return major << 16 | minor; }
constexpr uint32_t kAnyFrom = 0;
constexpr uint32_t kAnyTo = UINT32_MAX;
constexpr UnixTime kEver = UnixTime::FromSeconds(253402300799);
constexpr UnixTime kNovember2019 = UnixTime::FromSeconds(1'573'516'800);  // 2019-11-12
constexpr UnixTime kMarch2023 = UnixTime::FromSeconds(1'677'542'400);     // 2023-02-28
constexpr UnixTime kJune2025 = UnixTime::FromSeconds(1'749'513'600);      // 2025-06-10

constexpr std::string_view kRoca = "ek.advisory.cve-2017-15361";
constexpr std::string_view kRocaId = "CVE-2017-15361";
constexpr std::string_view kRocaText = "ROCA: this firmware makes RSA keys that can be factored";
constexpr std::string_view kRocaSource = "Infineon TPM update 2017; Microsoft ADV170012";
constexpr EkAdvisory Roca(uint32_t from, uint32_t to) {
  return {kRoca,     kRocaId,    kInfineon, "", from, to, kEver, true, AdvisoryEffect::kRefuse,
          kRocaText, kRocaSource};
}

constexpr EkAdvisory TpmFail(uint32_t from, uint32_t to) {
  return {"ek.advisory.cve-2019-16863",
          "CVE-2019-16863",
          kStm,
          "",
          from,
          to,
          kEver,
          false,
          AdvisoryEffect::kWarn,
          "TPM-FAIL: the time that ECDSA takes tells the key",
          "st.com/tpm-update"};
}

constexpr EkAdvisory kAdvisories[] = {
    Roca(Firmware(4, 0), Firmware(4, 33)),
    Roca(Firmware(4, 40), Firmware(4, 42)),
    Roca(Firmware(5, 0), Firmware(5, 61)),
    Roca(Firmware(6, 0), Firmware(6, 42)),
    Roca(Firmware(7, 0), Firmware(7, 61)),
    Roca(Firmware(133, 0), Firmware(133, 32)),
    TpmFail(Firmware(71, 0), Firmware(71, 0)),
    TpmFail(Firmware(71, 4), Firmware(71, 4)),
    TpmFail(Firmware(71, 12), Firmware(71, 12)),
    TpmFail(Firmware(73, 0), Firmware(73, 0)),
    TpmFail(Firmware(73, 4), Firmware(73, 5)),
    TpmFail(Firmware(73, 8), Firmware(73, 9)),
    TpmFail(Firmware(74, 0), Firmware(74, 0)),
    TpmFail(Firmware(74, 4), Firmware(74, 5)),
    TpmFail(Firmware(74, 8), Firmware(74, 9)),
    TpmFail(Firmware(74, 16), Firmware(74, 16)),
    {"ek.advisory.cve-2019-11090", "CVE-2019-11090", kIntel, "", kAnyFrom, kAnyTo, kNovember2019,
     false, AdvisoryEffect::kWarn,
     "TPM-FAIL: the time that ECDSA takes tells the key, before the platform's update",
     "INTEL-SA-00241"},
    {"ek.advisory.cve-2023-1017", "CVE-2023-1017", kNuvoton, "NPCT65", Firmware(1, 3),
     Firmware(1, 3), kEver, false, AdvisoryEffect::kWarn,
     "an encrypted parameter overruns its buffer, before firmware 1.3.2.20", "Nuvoton SA-003"},
    {"ek.advisory.cve-2023-1017", "CVE-2023-1017", kIbm, "", kAnyFrom, kAnyTo, kMarch2023, false,
     AdvisoryEffect::kWarn, "an encrypted parameter overruns its buffer, before libtpms 0.9.6",
     "CERT VU#782720"},
    {"ek.advisory.cve-2023-1018", "CVE-2023-1018", kIbm, "", kAnyFrom, kAnyTo, kMarch2023, false,
     AdvisoryEffect::kWarn,
     "an encrypted parameter is read beyond its buffer, before libtpms 0.9.6", "CERT VU#782720"},
    {"ek.advisory.cve-2025-2884", "CVE-2025-2884", kIntel, "", kAnyFrom, kAnyTo, kJune2025, false,
     AdvisoryEffect::kWarn, "HMAC signing reads beyond its buffer, before the platform's update",
     "CERT VU#282450; INTEL-SA-01209"},
    {"ek.advisory.cve-2025-2884", "CVE-2025-2884", kAmd, "", kAnyFrom, kAnyTo, kJune2025, false,
     AdvisoryEffect::kWarn, "HMAC signing reads beyond its buffer, before the platform's update",
     "CERT VU#282450; AMD-SB-4011"},
    {"ek.advisory.cve-2025-2884", "CVE-2025-2884", kIbm, "", kAnyFrom, kAnyTo, kJune2025, false,
     AdvisoryEffect::kWarn, "HMAC signing reads beyond its buffer, before libtpms 0.10.1",
     "CERT VU#282450"},
};

// Unknown firmware is inside every range of its vendor's model, and then refuses nothing.
bool Holds(const EkAdvisory& advisory, const EkCertificate& certificate) {
  const uint32_t firmware = certificate.firmware().value_or(advisory.from);
  return certificate.manufacturer_id() == advisory.manufacturer &&
         certificate.model.starts_with(advisory.model) && firmware >= advisory.from &&
         firmware <= advisory.to && certificate.not_before < advisory.made_before &&
         (!advisory.rsa_only || certificate.key_name.starts_with("rsa-"));
}

EkCheck CheckOf(const EkAdvisory& advisory, bool told, bool accepted) {
  std::string detail = std::string(advisory.summary) + " (" + std::string(advisory.source) + ")";
  const bool refused = advisory.effect == AdvisoryEffect::kRefuse && told && !accepted;
  if (refused) return FailedCheck(advisory.rule, Reason::kPolicyDenied, std::move(detail));
  return WarnedCheck(advisory.rule, std::move(detail));
}

}  // namespace

std::span<const EkAdvisory> EkAdvisories() { return kAdvisories; }

std::vector<EkCheck> CheckAdvisories(const EkCertificate& certificate,
                                     std::span<const std::string> accepted) {
  std::vector<EkCheck> out;
  for (const EkAdvisory& advisory : kAdvisories) {
    const bool listed =
        std::ranges::any_of(out, [&](const EkCheck& check) { return check.rule == advisory.rule; });
    if (listed || !Holds(advisory, certificate)) continue;
    out.push_back(CheckOf(advisory, certificate.firmware().has_value(),
                          std::ranges::find(accepted, advisory.id) != accepted.end()));
  }
  if (out.empty()) out.push_back(PassedCheck("ek.advisories"));
  return out;
}

}  // namespace sallyport::pki
