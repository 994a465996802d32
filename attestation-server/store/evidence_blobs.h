// EvidenceBlobs keeps logs and evidence by content: <directory>/<2 hex>/<64 hex>. One boot sends
// one log many times, and so do its neighbours; it is stored once. Thread-safe.
#pragma once

#include <array>
#include <mutex>
#include <string>

#include "pki/base/digest.h"
#include "pki/base/file_system.h"

namespace sallyport::server {

class EvidenceBlobs {
 public:
  // `files` must outlive the object.
  EvidenceBlobs(FileSystem& files, std::string directory)
      : files_(&files), directory_(std::move(directory)) {}
  // Put is durable when it returns, and does nothing when the blob is there. kTooLarge; kNoSpace or
  // kUnavailable ("evidence.store") when the store is at fault.
  Result<Sha256Digest> Put(ByteView bytes);
  // Get checks the hash again; kNotFound, kMismatch ("evidence.blob").
  Result<Bytes> Get(const Sha256Digest& hash);

 private:
  std::string PathOf(const Sha256Digest& hash) const;
  Result<Unit> Write(const std::string& path, ByteView bytes);

  FileSystem* files_;
  const std::string directory_;
  // One writer a blob: devices of one image boot together and send the same bytes. Chosen by the
  // first byte of the hash.
  std::array<std::mutex, 64> blob_mutexes_;
};

}  // namespace sallyport::server
