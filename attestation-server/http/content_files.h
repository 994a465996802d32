// The files behind the content server.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "pki/base/content_request.h"

namespace sallyport::server {

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
