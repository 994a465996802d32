// Leaf certificates from an own DER template: everything that one issuer repeats is encoded once, a
// leaf is patched together and signed: about 30 us of CPU, of which 21 are the signature
// (tests/bench/pki_bench.cc).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pki/base/random.h"
#include "pki/x509/issuer_certificate.h"

namespace sallyport::pki {

constexpr size_t kServerNamesMax = 32;  // DNS names and addresses of one server leaf together

struct LeafValidity {
  UnixTime not_before;
  UnixTime not_after;
};

// A leaf as signed. Validity is what stands in the certificate.
struct IssuedLeaf {
  Bytes der;
  Bytes serial;  // as IdentityCertificate::serial: 16 random bytes without leading zeros
  UnixTime not_before;
  UnixTime not_after;
};

struct HostNames {
  std::vector<std::string> dns_names;
  std::vector<Bytes> ip_addresses;  // 4 or 16 bytes each
};

// LeafTemplate issues under one issuer for one trust domain. Immutable, thread-safe. Validity is
// cut to the issuer's; kInvalidArgument (rule leaf.validity) when nothing is left of it;
// kUnsupported (rule leaf.key) unless `spki` is a P-256 SubjectPublicKeyInfo in its one DER form.
// The point is not checked: callers have imported the key (ParseCsr, TPM public area).
class LeafTemplate {
 public:
  // kMismatch when `key` is not the key of `issuer`.
  static Result<LeafTemplate> Make(IssuerCertificate issuer, PrivateKey key,
                                   TrustDomain trust_domain);

  Result<IssuedLeaf> IssueDevice(const DeviceId& device, ByteView spki,
                                 const IdentityExtension& extension, LeafValidity validity,
                                 Random& random) const;
  // kInvalidArgument for names that are no host names, addresses of another size, too many of them.
  Result<IssuedLeaf> IssueServer(std::string_view name, const HostNames& hosts, ByteView spki,
                                 LeafValidity validity, Random& random) const;
  Result<IssuedLeaf> IssueOperator(std::string_view name, ByteView spki, LeafValidity validity,
                                   Random& random) const;

  const IssuerCertificate& issuer() const { return issuer_; }
  const TrustDomain& trust_domain() const { return trust_domain_; }

 private:
  LeafTemplate(IssuerCertificate issuer, PrivateKey key, TrustDomain trust_domain);
  Result<IssuedLeaf> Issue(ByteView san_names, ByteView spki, ByteView identity_extension,
                           LeafValidity validity, Random& random) const;

  IssuerCertificate issuer_;
  PrivateKey key_;
  TrustDomain trust_domain_;
  Bytes algorithm_and_issuer_;  // signature AlgorithmIdentifier and issuer Name
  Bytes fixed_extensions_;      // basicConstraints, keyUsage, extKeyUsage, authorityKeyIdentifier
};

}  // namespace sallyport::pki
