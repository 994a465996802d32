// The second way in (architecture 6.1): a machine whose maker certified an Initial Attestation Key.
// The IAK proves the AK, credential activation proves the EK, so all three are in one TPM; and the
// serial number must be on the allow-list.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "attestation-server/enrolment/ek_certificate.h"
#include "attestation-server/enrolment/messages.h"
#include "pki/x509/iak_certificate.h"

namespace sallyport::server {

// SerialListingKey is where a serial number stands on the allow-list, beside the hashes of EKs:
// SHA-256 over `sallyport/serial/v1\0` and the serial number.
Sha256Digest SerialListingKey(std::string_view serial);

struct ScreenedIak {
  pki::IakCertificate certificate;
  std::vector<std::string> profiles;  // whose IAK roots the chain leads to; at least one
  std::vector<std::string> warnings;
};

// ScreenIak judges `claim` for the AK `ak_public` (TPMT_PUBLIC). Besides the rules of
// ReadIakCertificate, CheckIakProfile, EkRoots::Judge, and pki::CheckAttestationKey for the IAK:
//   iak.missing    kMalformed      no certificate
//   iak.profile    kUntrusted      no profile has roots for IAKs
//   iak.key-match  kMismatch       the IAK's public area is not the certificate's key
//   iak.size iak.scheme iak.signature iak.magic iak.type iak.structure   of the TPM2_Certify
//   iak.extra-data kMismatch       it certifies for another server, AK or EK
//   iak.name       kMismatch       it certifies another key
// When the IAK itself is the AK, there is nothing to certify. Pure.
Result<ScreenedIak> ScreenIak(const IakClaim& claim, ByteView ak_public, ByteView ek_public,
                              std::string_view trust_domain, const Profiles& profiles,
                              UnixTime now);

}  // namespace sallyport::server
