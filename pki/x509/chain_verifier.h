// VerifyPeer: who is at the other end of a connection, judged by role. A role's anchors are its
// issuers, never a common root (architecture 3, 5a).
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "pki/x509/certificate.h"
#include "pki/x509/issuer_certificate.h"

namespace sallyport::pki {

// RoleAnchors are the issuers in force, by role; made from a trust bundle (pki/ca/trust_bundle.h).
struct RoleAnchors {
  std::vector<IssuerCertificate> device_issuers;
  std::vector<IssuerCertificate> server_issuers;
  std::vector<IssuerCertificate> operator_roots;

  const std::vector<IssuerCertificate>& For(Role role) const;
};

// VerifiedPeer was proven by VerifyPeer, which alone makes it: a live leaf of an issuer of its
// role, in our trust domain, with a path of that role. It does not prove possession of the key (TLS
// does) nor that the identity is still wanted (the device's lease and epoch do). Device peers
// always carry an extension.
class VerifiedPeer {
 public:
  Role role() const { return role_; }
  const SpiffeId& spiffe_id() const { return certificate_.spiffe_id; }
  // name is the device id, server name or operator name.
  const std::string& name() const { return name_; }
  const IdentityCertificate& certificate() const { return certificate_; }
  // extension is null unless the role is kDevice.
  const IdentityExtension* extension() const {
    return certificate_.extension ? &*certificate_.extension : nullptr;
  }

 private:
  friend Result<VerifiedPeer> VerifyPeer(ByteView, std::span<const Bytes>, const RoleAnchors&, Role,
                                         const TrustDomain&, UnixTime);
  VerifiedPeer(Role role, std::string name, IdentityCertificate certificate)
      : role_(role), name_(std::move(name)), certificate_(std::move(certificate)) {}
  Role role_;
  std::string name_;
  IdentityCertificate certificate_;
};

// VerifyPeer judges `leaf_der`. `intermediates` are what the peer sent besides; they never add
// trust: each must be an issuer that `anchors` lists for `role`, byte for byte. Errors of
// ParseIdentityCertificate, and:
//   peer.chain-foreign    kUntrusted     an intermediate that is not listed for the role
//   peer.issuer-unknown   kUntrusted     no listed issuer has the leaf's issuer name and key id
//   peer.signature        kBadSignature
//   peer.not-yet-valid    kExpired       leaf or issuer
//   peer.expired          kExpired       leaf or issuer; valid through the second of notAfter
//   peer.trust-domain     kMismatch
//   peer.role-path        kMismatch
//   peer.extension        kMismatch      missing on a device, present on another role
//   peer.host-names       kMismatch      DNS names or addresses on a leaf that is not a server's
// Pure; thread-safe.
Result<VerifiedPeer> VerifyPeer(ByteView leaf_der, std::span<const Bytes> intermediates,
                                const RoleAnchors& anchors, Role role,
                                const TrustDomain& trust_domain, UnixTime now);

}  // namespace sallyport::pki
