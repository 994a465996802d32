// ContentOrigin: a place from which files of the image repository can be read. What it sends is
// untrusted, whoever it is.
#pragma once

#include <cstdint>
#include <string>

#include "ota/install/payload_source.h"

namespace sallyport::device {

struct ContentRequest {
  std::string path;  // below `/image/`, as in docs/protocol.md
  uint64_t offset = 0;
  uint64_t length = 0;  // 0: the whole file, at most `size_max` bytes
  uint64_t size_max = 0;
};

class ContentOrigin {
 public:
  virtual ~ContentOrigin() = default;
  // Get pushes the body to `sink` in order: exactly `length` bytes when one was asked for and none
  // is the error. The first error of `sink` is passed on. Thread-safe.
  virtual Result<Unit> Get(const ContentRequest& request, ota::ByteSink& sink) const = 0;
  // Size is how long the origin says a file is. Thread-safe.
  virtual Result<uint64_t> Size(const std::string& path) const = 0;
};

}  // namespace sallyport::device
