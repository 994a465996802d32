// PayloadSource: where the installer gets the files of a release. Untrusted: the installer checks
// every byte.
#pragma once

#include "ota/install/install_plan.h"
#include "pki/base/bytes.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Result<Unit> Write(ByteView bytes) = 0;
};

class PayloadSource {
 public:
  virtual ~PayloadSource() = default;
  // Fetch pushes file[offset, offset + length) to `sink` in order and stops at the sink's first
  // error, which it returns. kUnavailable when the source cannot be reached or breaks off: what was
  // pushed may be kept.
  virtual Result<Unit> Fetch(const RemoteFile& file, uint64_t offset, uint64_t length,
                             ByteSink& sink) = 0;
};

// FetchFile writes `file` to `path`, from its start, and makes it durable. kMismatch with
// `digest_rule` or install.source-length; errors of source and files.
Result<Unit> FetchFile(FileSystem& files, PayloadSource& source, const RemoteFile& file,
                       const std::string& path, std::string_view digest_rule);

// What a source may not do. CheckRoom: kMismatch, install.source-length (endless data).
// CheckComplete: kUnavailable, install.source-length.
Result<Unit> CheckRoom(uint64_t held, size_t more, uint64_t length);
Result<Unit> CheckComplete(uint64_t held, uint64_t length);

}  // namespace sallyport::ota
