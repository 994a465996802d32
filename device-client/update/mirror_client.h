// MirrorClient: range reads from anybody who serves the files of the image repository under the
// same names. Nothing of it is trusted, and it learns no more of the device than its address.
#pragma once

#include <string>

#include "device-client/update/http_transfer.h"

namespace sallyport::device {

// Ranges are what makes a resume cheap. Without them, so much of a file is read again at most.
inline constexpr uint64_t kMirrorSkipBytesMax = 256u << 20;
inline constexpr long kMirrorStallSecondsMax = 20;

struct MirrorEndpoint {
  std::string url;      // https://host[:port]/prefix, or http://host:port of a peer
  std::string ca_file;  // PEM; empty: the system's authorities
  std::string proxy;    // http[s]://host:port; empty: none
  long stall_seconds_max = kMirrorStallSecondsMax;
  std::string proxy_ca_file = {};  // PEM; empty: the system's authorities
};

class MirrorClient final : public ContentOrigin {
 public:
  explicit MirrorClient(MirrorEndpoint endpoint);

  // Get and Size: errors of HttpTransfer.
  Result<Unit> Get(const ContentRequest& request, ota::ByteSink& sink) const override;
  Result<uint64_t> Size(const std::string& path) const override;

 private:
  const MirrorEndpoint endpoint_;
  const HttpPlace place_;
  const CurlHandles handles_;
};

}  // namespace sallyport::device
