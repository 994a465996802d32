// Which profiles an EK certificate opens the door of: its chain must lead to a profile's roots and
// its key must be the EK the device shows.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "attestation-server/enrolment/ek_directory.h"
#include "attestation-server/evidence/tpm_health.h"
#include "pki/tpm/public_area.h"

namespace sallyport::server {

// TpmTerms: what is asked of the TPMs of a profile.
struct TpmTerms {
  pki::HashAlgorithm bank = pki::HashAlgorithm::kSha256;  // that is quoted and judged
  // Every bank that these TPMs have, live or not, by TPM algorithm id: a bank that is left out is
  // not audited.
  std::vector<uint16_t> banks = {0x0004, 0x000B, 0x000C, 0x000D};
  uint64_t firmware_floor = 0;  // of TPMS_ATTEST
  std::optional<TpmKind> kind;  // nothing: by the manufacturer
  bool require_null_name = false;
};

// Profile names the TPM roots that a group of devices must have. `roots` is loaded at start and
// when a bundle is imported.
struct Profile {
  pki::EkRoots roots;
  bool vendor =
      false;  // the roots are TPM vendors' own; false only in development, and caps the tier
  std::vector<std::string> accepted_advisories = {};  // CVEs that warn instead of refusing
  std::optional<pki::EkRoots> iak_roots = {};         // makers whose IAK certificates open the door
  TpmTerms tpm = {};
};
using Profiles = std::map<std::string, Profile, std::less<>>;

struct ScreenedEk {
  pki::EkCertificate certificate;
  pki::PublicArea area;  // from the certificate's key and the known template, never from the device
  Bytes spki;
  std::vector<std::string> profiles;  // at least one
  std::vector<std::string> warnings;  // "rule: detail" of checks that passed with a warning
};

// ScreenEk takes the leaf first, then what else the TPM's NV held. Besides the rules of
// ReadEkCertificate, CheckEkProfile and EkRoots::Judge (of the last profile tried): kMalformed
// "ek.missing"; kTooLarge "ek.chain-length"; kUnsupported "ek.key-type"; kMismatch "ek.key-match"
// when `ek_public` is not the certificate's key in the known template. Pure.
Result<ScreenedEk> ScreenEk(std::span<const Bytes> certificates, ByteView ek_public,
                            const Profiles& profiles, UnixTime now);

}  // namespace sallyport::server
