// What both ends of a gRPC connection agree on: TLS 1.3 only, and how a client knows a server of
// ours.
#pragma once

#include <grpcpp/security/tls_certificate_verifier.h>

#include <memory>
#include <string>
#include <vector>

namespace sallyport::server {

// PrepareTls must run in main before the first gRPC call: it takes every TLS 1.2 suite away
// (gRPC 1.51 has no option for the lowest version; docs/adr/0002-tls-1-3-only.md).
void PrepareTls();

// MakeServerVerifier accepts a server with exactly one URI SAN, one of `server_ids`. gRPC has
// verified the chain against the server issuer before it asks.
std::shared_ptr<grpc::experimental::CertificateVerifier> MakeServerVerifier(
    std::vector<std::string> server_ids);

}  // namespace sallyport::server
