#include "attestation-server/service/peer.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>

#include "pki/x509/pem.h"

namespace sallyport::server {
namespace {

Error Unauthenticated(std::string_view rule, std::string detail) {
  return Error{Reason::kUnauthenticated, std::move(detail), rule};
}

std::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

}  // namespace

Result<pki::VerifiedPeer> AuthenticatePeer(const grpc::ServerContextBase& context,
                                           const pki::RoleAnchors& anchors, pki::Role role,
                                           const pki::TrustDomain& trust_domain, UnixTime now) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  const auto reused = auth->FindPropertyValues(GRPC_SSL_SESSION_REUSED_PROPERTY);
  if (reused.size() != 1 || View(reused[0]) != "false")
    return Unauthenticated("peer.resumed", "tls session was resumed");
  const auto certificates = auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (certificates.size() != 1)
    return Unauthenticated("peer.no-certificate", "no client certificate");
  SP_TRY(const std::vector<Bytes> leaf, pki::ParseCertificatePem(View(certificates[0])));
  return pki::VerifyPeer(leaf.front(), {}, anchors, role, trust_domain, now);
}

}  // namespace sallyport::server
