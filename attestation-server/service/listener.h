// A gRPC listener: TLS 1.3 only, one issuer as the only trust anchor of its clients, certificates
// reloaded from disk without a restart. Which services it registers is the caller's choice.
#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_context.h>

#include <memory>
#include <string>
#include <vector>

#include "pki/base/result.h"

namespace sallyport::server {

// TlsMaterial is what a listener presents and whom it trusts.
struct TlsMaterial {
  std::string private_key_pem;
  std::string chain_pem;    // leaf first
  std::string anchors_pem;  // of its clients; empty: no client certificate is asked for
};

// TlsDirectory holds the files that gRPC's watcher polls once a second. Replace swaps a symlink, so
// that key, chain and anchors change together. The directory should be private and volatile.
class TlsDirectory {
 public:
  explicit TlsDirectory(std::string path) : path_(std::move(path)) {}
  // Replace returns kUnavailable when the files cannot be written; the old ones stay in force.
  Result<Unit> Replace(const TlsMaterial& material);
  std::string key_path() const { return path_ + "/live/key.pem"; }
  std::string chain_path() const { return path_ + "/live/chain.pem"; }
  std::string anchors_path() const { return path_ + "/live/anchors.pem"; }

 private:
  std::string path_;
  unsigned generation_ = 0;
};

enum class ClientCertificates : uint8_t { kNone, kRequired };

// StartListener serves `services` on `address` ("host:port", port below 32768) with the files of
// `directory`. kUnavailable when the address cannot be bound.
Result<std::unique_ptr<grpc::Server>> StartListener(const std::string& address,
                                                    const TlsDirectory& directory,
                                                    ClientCertificates clients,
                                                    const std::vector<grpc::Service*>& services);

}  // namespace sallyport::server
