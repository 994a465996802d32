// The client's check of a server of ours: exactly one URI SAN, and it is one that the client was told
// of beforehand. gRPC has verified the chain against the server issuer before it asks.
#pragma once

#include <grpcpp/security/tls_certificate_verifier.h>

#include <memory>
#include <string>
#include <vector>

namespace sallyport::server {

// MakeServerVerifier accepts the SPIFFE ids in `server_ids` only.
std::shared_ptr<grpc::experimental::CertificateVerifier> MakeServerVerifier(std::vector<std::string> server_ids);

}  // namespace sallyport::server
