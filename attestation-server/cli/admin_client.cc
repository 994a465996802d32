#include "attestation-server/cli/admin_client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <chrono>

#include "attestation-server/api/tls.h"
#include "attestation-server/service/status.h"
#include "pki/ca/trust_bundle.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kFileBytesMax = 256 * 1024;  // a bundle of a few certificates
constexpr std::chrono::seconds kDeadline{30};

}  // namespace

Result<AdminClient> AdminClient::Connect(FileSystem& files, const Context& context) {
  namespace ge = grpc::experimental;
  SP_TRY(const Bytes bundle_json, ReadFile(files, context.trust_bundle, kFileBytesMax));
  SP_TRY(const pki::TrustBundle bundle, pki::ParseTrustBundle(AsText(bundle_json)));
  SP_TRY(const Bytes certificate, ReadFile(files, context.certificate, kFileBytesMax));
  SP_TRY(const Bytes key, ReadFile(files, context.private_key, kFileBytesMax));
  std::string anchors;
  for (const pki::IssuerCertificate& issuer : bundle.server_issuers) anchors += issuer.ToPem();
  auto provider = std::make_shared<ge::StaticDataCertificateProvider>(
      anchors, std::vector<ge::IdentityKeyCertPair>{{ToString(key), ToString(certificate)}});
  ge::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(provider);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_certificate_verifier(MakeServerVerifier({context.server_id}));
  options.set_check_call_host(false);
  return AdminClient(
      api::Admin::NewStub(grpc::CreateChannel(context.server, ge::TlsCredentials(options))));
}

Result<Unit> AdminClient::Call(const std::function<grpc::Status(grpc::ClientContext&)>& rpc) const {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  const grpc::Status status = rpc(context);
  if (status.ok()) return Unit{};
  return FromStatus(status);
}

}  // namespace sallyport::server
