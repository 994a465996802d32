// What our HTTP servers understand of a request for a file of the image repository: a path of plain
// segments, and one byte range. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/result.h"

namespace sallyport {

// ContentPath is a relative path of plain segments: letters, digits, '-', '_', '.', '+', none
// beginning with a dot. Nothing is decoded, so that one file has one name.
class ContentPath {
 public:
  // Parse takes the request target as it was sent. kNotFound ("content.path") unless it is the
  // prefix and a plain path.
  static Result<ContentPath> Parse(std::string_view target, std::string_view prefix);
  const std::string& text() const { return text_; }
  // segments are the parts between the slashes.
  std::vector<std::string> segments() const;
  // etag is the digest in a name such as `<64 hex digits>.payload.bin`, quoted; empty for other
  // names.
  std::string etag() const;

 private:
  explicit ContentPath(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct ContentRange {
  uint64_t first = 0;
  uint64_t last = 0;  // included
  bool operator==(const ContentRange&) const = default;
};

// ParseRange reads one `bytes=` range (RFC 9110, 14.1.2) of a file of `size` bytes.
// kInvalidArgument ("content.range") for several ranges, other units, and ranges that begin past
// the end.
Result<ContentRange> ParseRange(std::string_view header, uint64_t size);

}  // namespace sallyport
