// Rules that certificates of endorsement and attestation keys share; each takes the name that a
// refusal carries, which has static storage. For pki/x509 only. Pure; thread-safe.
#pragma once

#include "pki/x509/ek_check.h"
#include "pki/x509/x509_native.h"

namespace sallyport::pki {

// Bits of KeyUsage (RFC 5280 4.2.1.3).
inline constexpr int kDigitalSignatureBit = 0;
inline constexpr int kKeyEnciphermentBit = 2;
inline constexpr int kKeyAgreementBit = 4;

Result<Unit> RequireVersion3(const X509* certificate, std::string_view rule);
// RequireKeyUsage: `bit` is set; keyCertSign and cRLSign are not.
Result<Unit> RequireKeyUsage(const X509* certificate, int bit, std::string_view rule);
// RequireExtendedKeyUsage: contains `oid`, or is absent where that is allowed.
Result<Unit> RequireExtendedKeyUsage(const X509* certificate, std::string_view oid,
                                     bool absent_allowed, std::string_view rule);
Result<Unit> RequireNoCa(const X509* certificate, std::string_view rule);
Result<Unit> RequireNoneTwice(const X509* certificate, std::string_view rule);
// RequireCriticalKnown: what is critical is judged by us, or by OpenSSL in the chain.
Result<Unit> RequireCriticalKnown(const X509* certificate, std::string_view rule);
// CheckRoca is not run for keys that are not RSA.
EkCheck CheckRoca(const X509* certificate, std::string_view rule);
bool IsRsa(const X509* certificate);

}  // namespace sallyport::pki
