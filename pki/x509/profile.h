// The X.509 profile of this product (docs/protocol.md, "Certificates"): the constants that its
// writer and its reader share, and the reading of what leaves and issuers have in common.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "pki/crypto/p256_spki.h"
#include "pki/x509/certificate.h"
#include "pki/x509/der.h"

namespace sallyport::pki {

// Object identifiers, DER content octets.
inline constexpr std::array<uint8_t, 3> kOidSubjectKeyId{0x55, 0x1D, 0x0E};
inline constexpr std::array<uint8_t, 3> kOidKeyUsage{0x55, 0x1D, 0x0F};
inline constexpr std::array<uint8_t, 3> kOidSubjectAltName{0x55, 0x1D, 0x11};
inline constexpr std::array<uint8_t, 3> kOidBasicConstraints{0x55, 0x1D, 0x13};
inline constexpr std::array<uint8_t, 3> kOidNameConstraints{0x55, 0x1D, 0x1E};
inline constexpr std::array<uint8_t, 3> kOidAuthorityKeyId{0x55, 0x1D, 0x23};
inline constexpr std::array<uint8_t, 3> kOidExtKeyUsage{0x55, 0x1D, 0x25};
inline constexpr std::array<uint8_t, 3> kOidCommonName{0x55, 0x04, 0x03};
inline constexpr std::array<uint8_t, 3> kOidOrganization{0x55, 0x04, 0x0A};
inline constexpr std::array<uint8_t, 8> kOidServerAuth{0x2B, 0x06, 0x01, 0x05,
                                                       0x05, 0x07, 0x03, 0x01};
inline constexpr std::array<uint8_t, 8> kOidClientAuth{0x2B, 0x06, 0x01, 0x05,
                                                       0x05, 0x07, 0x03, 0x02};

// AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758 3.2: parameters absent).
inline constexpr std::array<uint8_t, 12> kEcdsaSha256{0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86,
                                                      0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02};

// Values of keyUsage: BIT STRING with its unused bits.
inline constexpr std::array<uint8_t, 4> kKeyUsageDigitalSignature{0x03, 0x02, 0x07, 0x80};
inline constexpr std::array<uint8_t, 4> kKeyUsageCertAndCrlSign{0x03, 0x02, 0x01, 0x06};

// GeneralName tags (RFC 5280 4.2.1.6).
inline constexpr uint8_t kNameDns = der::ContextPrimitive(2);
inline constexpr uint8_t kNameUri = der::ContextPrimitive(6);
inline constexpr uint8_t kNameIp = der::ContextPrimitive(7);

inline constexpr size_t kSerialBytesMax = 20;  // RFC 5280 4.1.2.2
inline constexpr size_t kKeyIdBytesMax = 64;   // ours have 20
inline constexpr size_t kExtensionsMax = 16;   // ours have 7

bool IsP256Spki(ByteView spki);
// KeyIdOf is RFC 7093 method 1: the leftmost 160 bits of SHA-256 over the public key bits.
Bytes KeyIdOf(ByteView p256_spki);
// IsHostName: a DNS name of letters, digits, dashes and dots, optionally with a leading `*.`.
bool IsHostName(std::string_view name);

// Extension borrows from the certificate.
struct Extension {
  ByteView oid;
  bool critical = false;
  ByteView value;
};

// CertificateFields are a certificate read but not yet judged; views borrow `der`.
struct CertificateFields {
  ByteView to_be_signed;
  ByteView serial;
  ByteView issuer;
  UnixTime not_before;
  UnixTime not_after;
  ByteView subject;
  ByteView spki;
  std::vector<Extension> extensions;  // no OID twice
  ByteView signature;
};

// ReadCertificate reads exactly one v3 certificate with ecdsa-with-SHA256 and a P-256 key. Errors
// as ParseIdentityCertificate.
Result<CertificateFields> ReadCertificate(ByteView der);
// ReadAuthorityKeyId reads an authorityKeyIdentifier holding keyIdentifier alone.
Result<ByteView> ReadAuthorityKeyId(ByteView value);
Result<ByteView> ReadSubjectKeyId(ByteView value);

// RangeIn says where `part`, a view into `whole`, stands.
inline ByteRange RangeIn(ByteView whole, ByteView part) {
  return {static_cast<size_t>(part.data() - whole.data()), part.size()};
}

// EncodeExtension writes one Extension.
Bytes EncodeExtension(ByteView oid, bool critical, ByteView value);
Bytes EncodeAuthorityKeyId(ByteView key_id);
Bytes EncodeSubjectKeyId(ByteView key_id);

}  // namespace sallyport::pki
