#include "pki/x509/chain_verifier.h"

namespace sallyport::pki {
namespace {

Result<Unit> CheckIntermediates(std::span<const Bytes> intermediates,
                                const std::vector<IssuerCertificate>& issuers) {
  for (const Bytes& sent : intermediates) {
    const auto listed = [&](const IssuerCertificate& issuer) { return issuer.der == sent; };
    if (!std::ranges::any_of(issuers, listed))
      return Error{Reason::kUntrusted, "peer sent a certificate that is no issuer of its role",
                   "peer.chain-foreign"};
  }
  return Ok();
}

Result<const IssuerCertificate*> FindIssuer(const IdentityCertificate& leaf,
                                            const std::vector<IssuerCertificate>& issuers) {
  for (const IssuerCertificate& issuer : issuers)
    if (issuer.subject == leaf.issuer_name && issuer.key_id == leaf.issuer_key_id) return &issuer;
  return Error{Reason::kUntrusted, "leaf is not of an issuer of this role", "peer.issuer-unknown"};
}

template <typename Certificate>
Result<Unit> CheckValidity(const Certificate& certificate, UnixTime now, std::string_view what) {
  if (now < certificate.not_before)
    return Error{Reason::kExpired, std::string(what) + " is not yet valid", "peer.not-yet-valid"};
  if (now.seconds() > certificate.not_after.seconds())
    return Error{Reason::kExpired, std::string(what) + " has expired", "peer.expired"};
  return Ok();
}

Result<std::string> NameOf(Role role, const SpiffeId& id, const TrustDomain& trust_domain) {
  if (id.trust_domain() != trust_domain)
    return Error{Reason::kMismatch, "peer is of trust domain " + id.trust_domain().name(),
                 "peer.trust-domain"};
  if (!MatchRolePath(role, id.path()).has_value())
    return Error{Reason::kMismatch, "path is not that of a " + std::string(RoleName(role)),
                 "peer.role-path"};
  return std::string(id.path().substr(id.path().rfind('/') + 1));
}

Result<Unit> CheckContents(Role role, const IdentityCertificate& leaf) {
  if (leaf.extension.has_value() != (role == Role::kDevice))
    return Error{Reason::kMismatch, "devices carry the identity extension, and they alone",
                 "peer.extension"};
  if (role != Role::kServer && !(leaf.dns_names.empty() && leaf.ip_addresses.empty()))
    return Error{Reason::kMismatch, "servers alone have host names", "peer.host-names"};
  return Ok();
}

}  // namespace

const std::vector<IssuerCertificate>& RoleAnchors::For(Role role) const {
  switch (role) {
    case Role::kDevice: return device_issuers;
    case Role::kServer: return server_issuers;
    case Role::kOperator: return operator_roots;
  }
  std::abort();
}

Result<VerifiedPeer> VerifyPeer(ByteView leaf_der, std::span<const Bytes> intermediates,
                                const RoleAnchors& anchors, Role role,
                                const TrustDomain& trust_domain, UnixTime now) {
  SP_TRY(IdentityCertificate leaf, ParseIdentityCertificate(leaf_der));
  const std::vector<IssuerCertificate>& issuers = anchors.For(role);
  SP_TRY(CheckIntermediates(intermediates, issuers));
  SP_TRY(const IssuerCertificate* const issuer, FindIssuer(leaf, issuers));
  if (!issuer->key.Verify(leaf.to_be_signed.In(leaf.der), leaf.signature.In(leaf.der)).has_value())
    return Error{Reason::kBadSignature, "leaf is not signed by its issuer", "peer.signature"};
  SP_TRY(CheckValidity(*issuer, now, "issuer"));
  SP_TRY(CheckValidity(leaf, now, "leaf"));
  SP_TRY(std::string name, NameOf(role, leaf.spiffe_id, trust_domain));
  SP_TRY(CheckContents(role, leaf));
  return VerifiedPeer(role, std::move(name), std::move(leaf));
}

}  // namespace sallyport::pki
