// Certificates of Initial Attestation Keys (TCG TPM 2.0 Keys for Device Identity and
// Attestation 1.0, section 8; IEEE 802.1AR): a manufacturer's word that a restricted signing key is
// in the TPM of the machine with a serial number. Pure; thread-safe.
#pragma once

#include "pki/x509/ek_chain.h"

namespace sallyport::pki {

// IakCertificate was read from one DER certificate. Reading proves nothing.
struct IakCertificate {
  EkCertificate
      certificate;     // bytes, key, validity and the TPM's name, read as in an EK certificate
  std::string serial;  // of the machine: printable, as written; empty when absent
};

inline constexpr size_t kHardwareSerialMax = 64;

// ReadIakCertificate: the rules of ReadEkCertificate, and kMalformed "iak.serial" for a
// hardwareModuleName that does not read, a serial number that is longer than kHardwareSerialMax or
// not printable, or two that differ (hwSerialNum of RFC 4108, serialNumber of the subject).
Result<IakCertificate> ReadIakCertificate(ByteView bytes);

// CheckIakProfile runs every rule, whatever failed before:
//   iak.der                 it reads ("iak.der-lenient": it is not strict DER)
//   iak.version             X.509 v3
//   iak.key                 P-256, P-384, RSA-2048 to 4096: what an attestation key may be
//   iak.key-roca            the key does not have the fingerprint of CVE-2017-15361
//   iak.key-usage           digitalSignature, and no signing of certificates or lists
//   iak.extended-key-usage  contains tcg-kp-AIKCertificate (2.23.133.8.3): an IDevID is no IAK
//   iak.ca                  not a CA
//   iak.serial              names the machine by a serial number
//   iak.extension-twice     no extension occurs twice
//   iak.extension-critical  every critical extension is understood
//   iak.policy              (a warning) says that the CA has seen the key to be in a TPM
//                           (2.23.133.11.1.1 to .3)
std::vector<EkCheck> CheckIakProfile(const IakCertificate& certificate);

}  // namespace sallyport::pki
