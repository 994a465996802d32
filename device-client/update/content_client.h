// ContentClient: range reads from the server's `content` listener over mutual TLS 1.3, with the
// device's key in the TPM. The server must be named by the enrolment file. What it sends is
// untrusted all the same.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "device-client/tpm/tls_identity.h"
#include "ota/install/payload_source.h"
#include "pki/base/time.h"

namespace sallyport::device {

// A server that sends slower than this is as good as gone.
inline constexpr long kContentBytesPerSecondMin = 512;
inline constexpr long kContentStallSecondsMax = 60;
inline constexpr long kContentConnectSecondsMax = 20;

struct ContentEndpoint {
  std::string address;                  // host:port
  std::string anchors_pem;              // server issuers
  std::vector<std::string> server_ids;  // SPIFFE ids
  long stall_seconds_max = kContentStallSecondsMax;
  // The time to judge the server's certificate by; null: the wall clock. Thread-safe.
  std::function<UnixTime()> now = nullptr;
};

// IdentitySource returns the identity to present now; nullopt before the first certificate.
// Thread-safe.
using IdentitySource = std::function<std::optional<TlsIdentity>()>;

struct ContentRequest {
  std::string path;  // below `/image/`, as in docs/protocol.md; percent-encoded here
  uint64_t offset = 0;
  uint64_t length = 0;  // 0: the whole file, at most `size_max` bytes
  uint64_t size_max = 0;
};

// ContentClient opens one connection per request: a download takes three. Several threads may use
// one.
class ContentClient {
 public:
  ContentClient(ContentEndpoint endpoint, IdentitySource identity);

  // Get pushes the body to `sink` in order. kNotFound; kUnauthenticated, content.no-identity or
  // content.refused; kTooLarge, content.size (more than `size_max`); kMismatch, content.range (the
  // server ignores the range); kUnavailable, content.server (the peer is not the server we know, or
  // cannot show it), or without a rule when the connection fails. The first error of `sink` is
  // passed on.
  Result<Unit> Get(const ContentRequest& request, ota::ByteSink& sink) const;

 private:
  const ContentEndpoint endpoint_;
  const IdentitySource identity_;
};

}  // namespace sallyport::device
