// IdentityCertificate: a leaf of ours as its peer sees it, read by an own strict DER reader
// (OpenSSL's costs 160 us and accepts more than we issue). Reading proves nothing: see
// chain_verifier.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pki/spiffe/spiffe_id.h"
#include "pki/x509/identity_extension.h"

namespace sallyport::pki {

// ByteRange is a part of IdentityCertificate::der.
struct ByteRange {
  size_t offset = 0;
  size_t size = 0;
  ByteView In(ByteView whole) const { return whole.subspan(offset, size); }
};

struct IdentityCertificate {
  SpiffeId spiffe_id;  // the one URI SAN, byte for byte
  Bytes serial;        // big-endian, without a leading zero
  UnixTime not_before;
  UnixTime not_after;  // the last valid second
  Bytes spki;          // DER SubjectPublicKeyInfo, P-256
  std::optional<IdentityExtension> extension;
  Bytes issuer_key_id;                 // authorityKeyIdentifier.keyIdentifier
  std::vector<std::string> dns_names;  // server leaves
  std::vector<Bytes> ip_addresses;     // 4 or 16 bytes each; server leaves
  Bytes issuer_name;                   // DER Name
  Bytes der;
  ByteRange to_be_signed;
  ByteRange signature;  // DER Ecdsa-Sig-Value
};

// ParseIdentityCertificate reads exactly one DER certificate of the profile in docs/protocol.md
// ("Certificates"): v3, ecdsa-with-SHA256, P-256, CA=false, KU exactly digitalSignature, EKU
// clientAuth and serverAuth, exactly one URI SAN, no unknown critical extension, no extension
// twice. kTooLarge; kUnsupported (rule extension.version, certificate.algorithm); kMalformed,
// rules: certificate.der, certificate.version, certificate.serial, certificate.validity,
// certificate.key, certificate.san, certificate.san-uri (none, several or no SPIFFE id),
// certificate.usage, certificate.ca, certificate.extension-twice, certificate.extension-critical,
// certificate.key-id. Pure; thread-safe.
Result<IdentityCertificate> ParseIdentityCertificate(ByteView der);

}  // namespace sallyport::pki
