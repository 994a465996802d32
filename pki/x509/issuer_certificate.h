// Issuer certificates: the PKI root, the device and server issuers below it, and the operator root.
#pragma once

#include <optional>

#include "pki/crypto/signature.h"
#include "pki/spiffe/spiffe_id.h"
#include "pki/x509/certificate.h"

namespace sallyport::pki {

// IssuerCertificate is a parsed CA certificate with its key imported once. Cheap to copy;
// thread-safe.
struct IssuerCertificate {
  PublicKey key;
  Bytes key_id;   // subjectKeyIdentifier
  Bytes subject;  // DER Name
  Bytes issuer;   // DER Name
  UnixTime not_before;
  UnixTime not_after;
  std::optional<uint8_t> path_length;
  Bytes der;
  ByteRange to_be_signed;
  ByteRange signature;

  std::string ToPem() const;
};

// ParseIssuerCertificate reads one DER certificate: v3, P-256, CA=true critical, keyCertSign, SKI.
// kMalformed or kUnsupported with the rules of certificate.h. Proves nothing about who signed it.
Result<IssuerCertificate> ParseIssuerCertificate(ByteView der);
// IssuerFromPem requires exactly one block.
Result<IssuerCertificate> IssuerFromPem(std::string_view pem);

// CheckIssuedBy: `child` names `parent` and its signature verifies with parent's key. kMismatch
// (rule issuer.name), kBadSignature (rule issuer.signature). A root is issued by itself.
Result<Unit> CheckIssuedBy(const IssuerCertificate& child, const IssuerCertificate& parent);

// What an issuer may name. Kept beside path rules of our own verifier so that foreign verifiers
// agree.
enum class NameScope : uint8_t {
  kAny,          // the PKI root: its issuers are constrained
  kUriOnly,      // URIs of the trust domain, no DNS name and no address: devices, operators
  kUriAndHosts,  // URIs of the trust domain, any DNS name and address: servers
};

struct IssuerFields {
  std::string common_name;
  TrustDomain trust_domain;  // also the subject's organisation
  Bytes serial;              // 16 random bytes
  UnixTime not_before;
  UnixTime not_after;
  uint8_t path_length = 0;
  NameScope scope = NameScope::kUriOnly;
};

// SignSelfIssued makes a root; SignIssuer makes an issuer for `subject_key` under `parent`, which
// lives no longer than it. kInternal when signing fails.
Result<IssuerCertificate> SignSelfIssued(const IssuerFields& fields, const PrivateKey& key);
Result<IssuerCertificate> SignIssuer(const IssuerFields& fields, const PublicKey& subject_key,
                                     const IssuerCertificate& parent, const PrivateKey& parent_key);

}  // namespace sallyport::pki
