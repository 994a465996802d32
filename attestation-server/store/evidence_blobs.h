// EvidenceBlobs keeps logs and evidence by content: <directory>/<2 hex>/<64 hex>. One boot sends
// one log many times, a fleet one log on many devices at once; it is stored once. Thread-safe as
// far as the file system is.
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
  // Put is durable when it returns, and does nothing when the blob is there. kTooLarge, kNoSpace.
  Result<Sha256Digest> Put(ByteView bytes);
  // Get checks the hash again; kNotFound, kMismatch ("evidence.blob").
  Result<Bytes> Get(const Sha256Digest& hash);

 private:
  std::string PathOf(const Sha256Digest& hash) const;
  FileSystem* files_;
  std::string directory_;
  // By the first byte of the name: two writers of one blob would share its temporary file.
  std::array<std::mutex, 16> writing_;
};

}  // namespace sallyport::server
