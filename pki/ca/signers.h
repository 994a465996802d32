// Typed signers: each key of architecture 5a behind a class that can sign one kind of thing, so
// that a separate process, PKCS#11 or a TPM can slot in. There is no Sign(bytes). All are
// immutable, thread-safe.
#pragma once

#include "pki/x509/leaf_template.h"

namespace sallyport::pki {

// IssuerKey is an issuer's certificate and the key that belongs to it.
struct IssuerKey {
  IssuerCertificate certificate;
  PrivateKey key;
};

// NotAfter of every leaf is the earlier of what was asked and the issuer's. Errors: see
// LeafTemplate.
class DeviceLeafSigner {
 public:
  static Result<DeviceLeafSigner> Make(IssuerKey issuer, TrustDomain trust_domain);
  Result<IssuedLeaf> SignDeviceLeaf(const DeviceId& device, ByteView spki,
                                    const IdentityExtension& extension, UnixTime not_before,
                                    UnixTime not_after, Random& random) const;
  const IssuerCertificate& issuer() const { return template_.issuer(); }

 private:
  explicit DeviceLeafSigner(LeafTemplate leaf_template) : template_(std::move(leaf_template)) {}
  LeafTemplate template_;
};

class ServerLeafSigner {
 public:
  static Result<ServerLeafSigner> Make(IssuerKey issuer, TrustDomain trust_domain);
  Result<IssuedLeaf> SignServerLeaf(std::string_view name, const HostNames& hosts, ByteView spki,
                                    UnixTime not_before, UnixTime not_after, Random& random) const;
  const IssuerCertificate& issuer() const { return template_.issuer(); }

 private:
  explicit ServerLeafSigner(LeafTemplate leaf_template) : template_(std::move(leaf_template)) {}
  LeafTemplate template_;
};

class OperatorLeafSigner {
 public:
  static Result<OperatorLeafSigner> Make(IssuerKey issuer, TrustDomain trust_domain);
  Result<IssuedLeaf> SignOperatorLeaf(std::string_view name, ByteView spki, UnixTime not_before,
                                      UnixTime not_after, Random& random) const;
  const IssuerCertificate& issuer() const { return template_.issuer(); }

 private:
  explicit OperatorLeafSigner(LeafTemplate leaf_template) : template_(std::move(leaf_template)) {}
  LeafTemplate template_;
};

}  // namespace sallyport::pki
