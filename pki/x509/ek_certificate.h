// EK certificates (TCG EK Credential Profile 2.6, RFC 5280) as TPMs and their vendors hand them
// out: how one is taken out of NV bytes or a file, and what it says. Reading proves nothing; the
// rules are in ek_profile.h, the chain in ek_chain.h. Pure; thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pki/base/time.h"
#include "pki/crypto/signature.h"

struct x509_st;  // OpenSSL's

namespace sallyport::pki {

inline constexpr size_t kEkCertificateBytesMax = 8192;  // an NV index of a TPM holds less
inline constexpr size_t kEkChainMax =
    8;  // leaf and intermediates from NV; Intel's on-die chains have six

// EkCertificate was read from one DER certificate.
struct EkCertificate {
  Bytes
      der;  // exactly one SEQUENCE, as received: padding and headers are cut, nothing is rewritten
  Bytes spki;                    // as written in the certificate
  std::optional<PublicKey> key;  // absent: a key our templates do not have (P-521) or a weak one
  std::string key_name;          // "rsa-2048", "p-256", ...; the algorithm's name for other keys
  std::string manufacturer;      // "id:53544D20" as written by the vendor; empty when absent
  std::string model;
  std::string version;
  UnixTime not_before;
  UnixTime not_after;     // 9999-12-31T23:59:59Z means it does not end
  std::string deviation;  // how the bytes depart from DER; empty when they do not
  // decoded is OpenSSL's reading of `der`, never null after ReadEkCertificate: OpenSSL 3.0 takes
  // 0.2 ms to find a decoder for a key, so the rules and the chain share one.
  std::shared_ptr<x509_st> decoded = nullptr;

  // manufacturer_id is the TCG's number of the vendor (0x53544D20 is STM), or nothing when it is
  // absent or not "id:" and 8 hex digits.
  std::optional<uint32_t> manufacturer_id() const;
  // vendor is that number's text ("STM"); empty when it has none.
  std::string vendor() const;
  // firmware is major << 16 | minor of `version`: "id:" and 8 hex digits, or 4 of one byte each.
  std::optional<uint32_t> firmware() const;
};

// TakeEkCertificates cuts a file or the content of an NV index into its certificates, leaf first:
// PEM blocks; or DER, behind a PC Client header (0x1001, type, size) or a 16-bit size, one
// certificate behind the other, followed by padding of 0x00 or 0xFF. kTooLarge "ek.size" (one
// certificate with its padding above 8 KiB), "ek.chain-length"; kMalformed "ek.nv-header" (sizes
// that lie), "ek.der"; kUnsupported "ek.attribute-certificate".
Result<std::vector<Bytes>> TakeEkCertificates(ByteView bytes);

// ReadEkCertificate takes one certificate in one of the forms above. Besides those errors:
// kMalformed "ek.der" when OpenSSL cannot read it, "ek.san" for a subjectAltName that does not
// parse, names the TPM twice or holds control characters.
Result<EkCertificate> ReadEkCertificate(ByteView bytes);

}  // namespace sallyport::pki
