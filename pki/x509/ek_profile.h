// The rules of the TCG EK Credential Profile 2.6 for one certificate, without its chain. Pure;
// thread-safe.
#pragma once

#include "pki/x509/ek_advisories.h"

namespace sallyport::pki {

// CheckEkProfile runs every rule, whatever failed before:
//   ek.der                 it reads; the detail names where it departs from DER ("ek.der-lenient")
//   ek.version             X.509 v3
//   ek.key                 RSA-2048 to 4096 with an odd exponent from 65537, P-256, P-384, P-521
//   ek.key-roca            the RSA key does not have the fingerprint of CVE-2017-15361
//   ek.key-usage           keyEncipherment (RSA) or keyAgreement (EC), and no signing of
//   certificates ek.extended-key-usage  absent, or contains tcg-kp-EKCertificate (2.23.133.8.1)
//   ek.ca                  not a CA
//   ek.subject             an empty subject has a critical subjectAltName
//   ek.san                 the TPM's name reads; the detail says when there is none
//   ek.extension-twice     no extension occurs twice
//   ek.extension-critical  every critical extension is understood
//   ek.advisory.*          see ek_advisories.h
std::vector<EkCheck> CheckEkProfile(const EkCertificate& certificate,
                                    std::span<const std::string> accepted_advisories = {});

// ParseEkCertificate reads one certificate and requires the profile of it: the errors of
// ReadEkCertificate and the first failed rule.
Result<EkCertificate> ParseEkCertificate(ByteView bytes,
                                         std::span<const std::string> accepted_advisories = {});

}  // namespace sallyport::pki
