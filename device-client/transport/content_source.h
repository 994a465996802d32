// ContentSource: the image repository and payloads over HTTPS, as this device (docs/protocol.md, "Image
// repository"). What comes is untrusted: ota/metadata and ota/install verify every byte.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "device-client/transport/channel.h"
#include "ota/install/payload_source.h"
#include "ota/metadata/client.h"

namespace sallyport::device {

// ContentSource is thread-safe. Each call has its own connection, to a server of `trust` only; the request is sent
// after the server's identity was seen. Errors: kUnauthenticated (content.no-identity: none was set;
// content.server: not a server that we know; 401, 403), kNotFound (404), kTooLarge, kUnavailable.
class ContentSource final : public ota::Fetcher, public ota::PayloadSource {
 public:
  ContentSource(std::string address, ServerTrust trust) : address_(std::move(address)), trust_(std::move(trust)) {}

  // SetIdentity is for the next calls.
  void SetIdentity(ClientIdentity identity);

  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override;
  Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) override;
  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length, ota::ByteSink& sink) override;

 private:
  struct ByteRange {
    uint64_t offset;
    uint64_t length;
  };
  Result<Bytes> GetWhole(const std::string& path, uint64_t size_max);
  Result<Unit> Get(const std::string& path, std::optional<ByteRange> range, ota::ByteSink& sink);

  const std::string address_;
  const ServerTrust trust_;
  std::mutex identity_mutex_;  // guards identity_
  std::optional<ClientIdentity> identity_;
};

}  // namespace sallyport::device
