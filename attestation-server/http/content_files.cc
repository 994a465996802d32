#include "attestation-server/http/content_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

namespace sallyport::server {
namespace {

Error NoSuchFile() { return Error{Reason::kNotFound, "no such file", "content.path"}; }

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { Replace(-1); }
  void Replace(int value) {
    if (value_ >= 0) ::close(value_);
    value_ = value;
  }
  int get() const { return value_; }
  int Release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

}  // namespace

Result<ContentFile> ContentFile::Open(const std::string& directory, const ContentPath& path) {
  Descriptor at(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const std::vector<std::string> segments = path.segments();
  for (size_t i = 0; at.get() >= 0 && i + 1 < segments.size(); ++i)
    at.Replace(
        ::openat(at.get(), segments[i].c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (at.get() < 0) return NoSuchFile();
  // Without O_NONBLOCK a fifo in the tree would hold the worker.
  Descriptor file(
      ::openat(at.get(), segments.back().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status{};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return NoSuchFile();
  return ContentFile(file.Release(), static_cast<uint64_t>(status.st_size));
}

ContentFile::ContentFile(ContentFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

ContentFile::~ContentFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<size_t> ContentFile::ReadAt(uint64_t offset, std::span<char> out) const {
  const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
  if (got < 0) return Error{Reason::kUnavailable, "read failed"};
  return static_cast<size_t>(got);
}

}  // namespace sallyport::server
