// Which profiles an EK certificate opens the door of: its chain must lead to a profile's roots and
// its key must be the EK the device shows.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "pki/base/file_system.h"
#include "pki/tpm/public_area.h"
#include "pki/x509/ek_chain.h"

namespace sallyport::server {

// Profile names the TPM roots that a group of devices must have. `roots` is loaded once, at start.
struct Profile {
  pki::EkRoots roots;
  bool vendor =
      false;  // the roots are TPM vendors' own; false only in development, and caps the tier
};
using Profiles = std::map<std::string, Profile, std::less<>>;

// LoadEkRoots reads every file of `directory` (PEM or DER). kNotFound, and errors of EkRoots.
Result<pki::EkRoots> LoadEkRoots(FileSystem& files, const std::string& directory);

struct ScreenedEk {
  pki::EkCertificate certificate;
  pki::PublicArea area;  // from the certificate's key and the known template, never from the device
  Bytes spki;
  std::vector<std::string> profiles;  // at least one
};

// ScreenEk takes the leaf first, then what else the TPM's NV held. Besides the errors of
// ParseEkCertificate and EkRoots::Verify (of the last profile tried): kMalformed "ek.missing";
// kTooLarge "ek.chain-length"; kUnsupported "ek.key-type"; kMismatch "ek.key" when `ek_public` is
// not the certificate's key in the known template. Pure.
Result<ScreenedEk> ScreenEk(std::span<const Bytes> certificates, ByteView ek_public,
                            const Profiles& profiles, UnixTime now);

}  // namespace sallyport::server
