// What the content server understands of a request: a path inside its directory, and one byte
// range.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pki/base/result.h"

namespace sallyport::server {

// ContentPath is a relative path of plain segments: letters, digits, '-', '_', '.', '+', none
// beginning with a dot. Nothing is decoded, so that one file has one name.
class ContentPath {
 public:
  // Parse takes the request target as it was sent. kNotFound ("content.path") unless it is the
  // prefix and a plain path.
  static Result<ContentPath> Parse(std::string_view target, std::string_view prefix);
  const std::string& text() const { return text_; }
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
// kInvalidArgument
// ("content.range") for several ranges, other units, and ranges that begin past the end.
Result<ContentRange> ParseRange(std::string_view header, uint64_t size);

// ContentFile is an open regular file; ReadAt is thread-safe.
class ContentFile {
 public:
  // Open walks from `directory` and follows no symbolic link. kNotFound ("content.path") for
  // whatever is no regular file.
  static Result<ContentFile> Open(const std::string& directory, const ContentPath& path);
  ContentFile(ContentFile&& other) noexcept;
  ContentFile& operator=(ContentFile&&) = delete;
  ~ContentFile();

  uint64_t size() const { return size_; }
  // ReadAt returns how many bytes were read: 0 at the end. kUnavailable on an I/O error.
  Result<size_t> ReadAt(uint64_t offset, std::span<char> out) const;

 private:
  ContentFile(int descriptor, uint64_t size) : descriptor_(descriptor), size_(size) {}
  int descriptor_;
  uint64_t size_;
};

}  // namespace sallyport::server
