// ContentClient: range reads from the server's `content` listener over mutual TLS 1.3, with the
// device's key in the TPM. The server must be named by the enrolment file. What it sends is
// untrusted all the same.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "device-client/tpm/tls_identity.h"
#include "device-client/update/http_transfer.h"
#include "pki/base/time.h"

namespace sallyport::device {

struct ContentEndpoint {
  std::string address;                  // host:port
  std::string anchors_pem;              // server issuers
  std::vector<std::string> server_ids;  // SPIFFE ids
  long stall_seconds_max = kContentStallSecondsMax;
  // The time to judge the server's certificate by; null: the wall clock. Thread-safe.
  std::function<UnixTime()> now = nullptr;
  std::string proxy = "";          // http[s]://host:port; empty: none
  std::string proxy_ca_file = {};  // PEM; empty: the system's authorities
};

// IdentitySource returns the identity to present now; nullopt before the first certificate.
// Thread-safe.
using IdentitySource = std::function<std::optional<TlsIdentity>()>;

// ContentClient keeps its connections while the identity stays the same: a handshake costs a
// signature of the TPM.
class ContentClient final : public ContentOrigin {
 public:
  ContentClient(ContentEndpoint endpoint, IdentitySource identity);

  // Get and Size: errors of HttpTransfer; kUnauthenticated, content.no-identity.
  Result<Unit> Get(const ContentRequest& request, ota::ByteSink& sink) const override;
  Result<uint64_t> Size(const std::string& path) const override;

 private:
  const ContentEndpoint endpoint_;
  const IdentitySource identity_;
  const HttpPlace place_;
  const CurlHandles handles_;
};

}  // namespace sallyport::device
