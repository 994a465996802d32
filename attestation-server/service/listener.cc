#include "attestation-server/service/listener.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_builder.h>
#include <unistd.h>

#include "pki/base/file_system.h"

namespace sallyport::server {
namespace {

constexpr unsigned kReloadSeconds = 1;
constexpr int kMessageBytesMax = 5 * 1024 * 1024;  // a 4 MiB event log and its quotes
constexpr int kKeepaliveMs = 60'000;
constexpr int kStreamsPerConnectionMax = 32;  // a device uses two
constexpr int kHandshakeMs = 10'000;  // a TPM signs in a fraction; slower ones hold no connection
constexpr int kIdleMs = 300'000;      // a connection on which nothing runs is not worth a socket
// Strangers' connections end whatever they do: an enrolment takes a second.
constexpr int kStrangerAgeMs = 60'000;
constexpr int kStrangerGraceMs = 10'000;

Result<Unit> WriteAll(FileSystem& files, const std::string& directory,
                      const TlsMaterial& material) {
  SP_TRY(files.MakeDirectories(directory));
  SP_TRY(WriteFileAtomically(files, directory + "/key.pem", AsBytes(material.private_key_pem)));
  SP_TRY(WriteFileAtomically(files, directory + "/chain.pem", AsBytes(material.chain_pem)));
  return WriteFileAtomically(files, directory + "/anchors.pem", AsBytes(material.anchors_pem));
}

}  // namespace

Result<Unit> TlsDirectory::Replace(const TlsMaterial& material) {
  PosixFileSystem files;
  const std::string name = "g" + std::to_string(++generation_);
  SP_TRY(WriteAll(files, path_ + "/" + name, material));
  const std::string next = path_ + "/next";
  ::unlink(next.c_str());
  if (::symlink(name.c_str(), next.c_str()) != 0)
    return Error{Reason::kUnavailable, "link " + next};
  SP_TRY(files.Rename(next, path_ + "/live"));
  if (generation_ < 2) return Unit{};
  const std::string old = path_ + "/g" + std::to_string(generation_ - 1);
  for (const char* file : {"/key.pem", "/chain.pem", "/anchors.pem"})
    ::unlink((old + file).c_str());
  ::rmdir(old.c_str());
  return Unit{};
}

Result<std::unique_ptr<grpc::Server>> StartListener(const std::string& address,
                                                    const TlsDirectory& directory,
                                                    ClientCertificates clients,
                                                    const std::vector<grpc::Service*>& services) {
  namespace ge = grpc::experimental;
  const bool mutual = clients == ClientCertificates::kRequired;
  auto provider = std::make_shared<ge::FileWatcherCertificateProvider>(
      directory.key_path(), directory.chain_path(), mutual ? directory.anchors_path() : "",
      kReloadSeconds);
  ge::TlsServerCredentialsOptions options(provider);
  options.watch_identity_key_cert_pairs();
  if (mutual) options.watch_root_certs();
  options.set_cert_request_type(mutual ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                       : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address, ge::TlsServerCredentials(options), &port);
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMs);
  if (!mutual) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kStrangerAgeMs);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kStrangerGraceMs);
  }
  for (grpc::Service* const service : services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server || port == 0) return Error{Reason::kUnavailable, "cannot listen on " + address};
  return server;
}

}  // namespace sallyport::server
