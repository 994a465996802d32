// What is publicly known to be wrong with TPMs, as data: by manufacturer, model and the firmware
// that the EK certificate names. That is the firmware the TPM was made with; an update in the field
// does not change the certificate. So an advisory refuses only where a fault stays in the keys, and
// warns where an update mends it: what runs now is told by the quote's firmwareVersion.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pki/x509/ek_certificate.h"
#include "pki/x509/ek_check.h"

namespace sallyport::pki {

enum class AdvisoryEffect : uint8_t { kRefuse, kWarn };

struct EkAdvisory {
  std::string_view rule;   // "ek.advisory." and the CVE
  std::string_view id;     // the CVE
  uint32_t manufacturer;   // TCG vendor number
  std::string_view model;  // prefix of the model; empty: every model
  uint32_t from;           // first and last firmware it holds for, major << 16 | minor
  uint32_t to;
  UnixTime made_before;  // holds for certificates made before; where no version is told
  bool rsa_only;         // holds for certificates of RSA keys
  AdvisoryEffect effect;
  std::string_view summary;
  std::string_view source;  // where the affected versions are published
};

std::span<const EkAdvisory> EkAdvisories();

// CheckAdvisories: one check per advisory that holds, or one pass "ek.advisories" when none does. A
// refusal is turned into a warning when `accepted` names its id. Pure.
std::vector<EkCheck> CheckAdvisories(const EkCertificate& certificate,
                                     std::span<const std::string> accepted);

}  // namespace sallyport::pki
