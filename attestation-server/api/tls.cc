#include "attestation-server/api/tls.h"

#include <algorithm>
#include <cstdlib>

namespace sallyport::server {
namespace {

namespace ge = grpc::experimental;

class ServerVerifier final : public ge::ExternalCertificateVerifier {
 public:
  explicit ServerVerifier(std::vector<std::string> server_ids)
      : server_ids_(std::move(server_ids)) {}

  bool Verify(ge::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* status) override {
    const std::vector<grpc::string_ref> uris = request->uri_names();
    const bool known =
        uris.size() == 1 && std::ranges::any_of(server_ids_, [&](const std::string& id) {
          return uris[0] == grpc::string_ref(id);
        });
    *status = known ? grpc::Status::OK
                    : grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                                   "peer is not a server of this trust domain");
    return true;
  }
  void Cancel(ge::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  const std::vector<std::string> server_ids_;
};

}  // namespace

void PrepareTls() {
  // A TLS 1.2-only suite that no certificate listener can use; TLS 1.3 suites are not governed by
  // this list.
  ::setenv("GRPC_SSL_CIPHER_SUITES", "PSK-AES128-GCM-SHA256", 1);
}

std::shared_ptr<ge::CertificateVerifier> MakeServerVerifier(std::vector<std::string> server_ids) {
  return ge::ExternalCertificateVerifier::Create<ServerVerifier>(std::move(server_ids));
}

}  // namespace sallyport::server
