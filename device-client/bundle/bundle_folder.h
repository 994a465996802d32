// BundleFolder reads a bundle where somebody mounted it. Nothing in it is trusted, not even to be a
// file: links are not followed, and what is no regular file is not opened for reading (a pipe would
// wait for ever). The folder is opened anew for each file, so that a stick can be taken out and put
// back.
#pragma once

#include <optional>
#include <string>

#include "ota/install/payload_source.h"
#include "ota/metadata/client.h"

namespace sallyport::device {

// Thread-safe. `path` itself may be a link: the operator named it.
class BundleFolder final : public ota::Fetcher, public ota::PayloadSource {
 public:
  // `statement` is the digest of the bundle's metadata/bundle.json, by which Fetch knows whether
  // the folder still holds that bundle; without it any bundle will do.
  explicit BundleFolder(std::string path, std::optional<Sha256Digest> statement = {})
      : path_(std::move(path)), statement_(statement) {}

  // Fetch: kUnavailable, bundle.folder-gone, when the folder does not hold the bundle (any more);
  // kNotFound, bundle.file-missing, when it does and the file is not in it; kMismatch,
  // bundle.file-length, when its length is not the signed one. Both kinds of reading: kUntrusted,
  // bundle.file-type (a link, a directory, a device).
  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override;
  Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) override;
  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                     ota::ByteSink& sink) override;

 private:
  [[nodiscard]] bool HoldsBundle() const;
  const std::string path_;
  const std::optional<Sha256Digest> statement_;
};

}  // namespace sallyport::device
