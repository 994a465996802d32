// Which profiles an EK certificate opens the door of: its chain must lead to a profile's roots and
// its key must be the EK the device shows.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "attestation-server/enrolment/ek_directory.h"
#include "pki/tpm/public_area.h"

namespace sallyport::server {

// Profile names the TPM roots that a group of devices must have. `roots` is loaded at start and
// when a bundle is imported.
struct Profile {
  pki::EkRoots roots;
  bool vendor =
      false;  // the roots are TPM vendors' own; false only in development, and caps the tier
  std::vector<std::string> accepted_advisories = {};  // CVEs that warn instead of refusing
  std::optional<pki::EkRoots> iak_roots = {};         // makers whose IAK certificates open the door
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
