// The image repository over HTTP, as ota/install and ota/metadata want to see it.
#pragma once

#include "device-client/update/content_client.h"
#include "ota/metadata/client.h"

namespace sallyport::device {

// HttpPayloadSource reads targets under their consistent-snapshot names. Borrows `client`;
// thread-safe.
class HttpPayloadSource final : public ota::PayloadSource {
 public:
  explicit HttpPayloadSource(const ContentClient& client) : client_(client) {}
  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                     ota::ByteSink& sink) override;

 private:
  const ContentClient& client_;
};

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
