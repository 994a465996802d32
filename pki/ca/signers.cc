#include "pki/ca/signers.h"

namespace sallyport::pki {

Result<DeviceLeafSigner> DeviceLeafSigner::Make(IssuerKey issuer, TrustDomain trust_domain) {
  SP_TRY(LeafTemplate leaf_template,
         LeafTemplate::Make(std::move(issuer.certificate), std::move(issuer.key),
                            std::move(trust_domain)));
  return DeviceLeafSigner(std::move(leaf_template));
}

Result<IssuedLeaf> DeviceLeafSigner::SignDeviceLeaf(const DeviceId& device, ByteView spki,
                                                    const IdentityExtension& extension,
                                                    UnixTime not_before, UnixTime not_after,
                                                    Random& random) const {
  return template_.IssueDevice(device, spki, extension, {not_before, not_after}, random);
}

Result<ServerLeafSigner> ServerLeafSigner::Make(IssuerKey issuer, TrustDomain trust_domain) {
  SP_TRY(LeafTemplate leaf_template,
         LeafTemplate::Make(std::move(issuer.certificate), std::move(issuer.key),
                            std::move(trust_domain)));
  return ServerLeafSigner(std::move(leaf_template));
}

Result<IssuedLeaf> ServerLeafSigner::SignServerLeaf(std::string_view name, const HostNames& hosts,
                                                    ByteView spki, UnixTime not_before,
                                                    UnixTime not_after, Random& random) const {
  return template_.IssueServer(name, hosts, spki, {not_before, not_after}, random);
}

Result<OperatorLeafSigner> OperatorLeafSigner::Make(IssuerKey issuer, TrustDomain trust_domain) {
  SP_TRY(LeafTemplate leaf_template,
         LeafTemplate::Make(std::move(issuer.certificate), std::move(issuer.key),
                            std::move(trust_domain)));
  return OperatorLeafSigner(std::move(leaf_template));
}

Result<IssuedLeaf> OperatorLeafSigner::SignOperatorLeaf(std::string_view name, ByteView spki,
                                                        UnixTime not_before, UnixTime not_after,
                                                        Random& random) const {
  return template_.IssueOperator(name, spki, {not_before, not_after}, random);
}

}  // namespace sallyport::pki
