// The metadata of the image repository over HTTP, as ota/metadata wants to see it: from the server
// alone, which has the newest.
#pragma once

#include "device-client/update/content_client.h"
#include "ota/metadata/client.h"

namespace sallyport::device {

// HttpFetcher reads metadata and small targets whole. Borrows `client`; thread-safe.
class HttpFetcher final : public ota::Fetcher {
 public:
  explicit HttpFetcher(const ContentClient& client) : client_(client) {}
  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override;
  Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) override;

 private:
  Result<Bytes> FetchWhole(const std::string& path, uint64_t size_max);
  const ContentClient& client_;
};

}  // namespace sallyport::device
