#include "attestation-server/http/content_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "pki/base/digest.h"

namespace sallyport::server {
namespace {

constexpr size_t kPathBytesMax = 512;  // ours have about 120
constexpr std::string_view kUnit = "bytes=";
constexpr size_t kHexDigestSize = 2 * Sha256Digest::kSize;

Error NoSuchFile() { return Error{Reason::kNotFound, "no such file", "content.path"}; }
Error BadRange() {
  return Error{Reason::kInvalidArgument, "not one range of this file", "content.range"};
}

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-_.+").find(c) != std::string_view::npos;
}

std::vector<std::string> Segments(std::string_view path) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    out.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

bool IsPlainSegment(std::string_view segment) {
  return !segment.empty() && segment.front() != '.' && std::ranges::all_of(segment, IsPlain);
}

Result<uint64_t> Number(std::string_view text) {
  uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return BadRange();
  return value;
}

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

Result<ContentPath> ContentPath::Parse(std::string_view target, std::string_view prefix) {
  if (!target.starts_with(prefix)) return NoSuchFile();
  const std::string_view path = target.substr(prefix.size());
  if (path.size() > kPathBytesMax || !std::ranges::all_of(Segments(path), IsPlainSegment))
    return NoSuchFile();
  return ContentPath(std::string(path));
}

std::string ContentPath::etag() const {
  const std::string_view name = std::string_view(text_).substr(text_.rfind('/') + 1);
  const size_t digest = std::min(name.find_first_not_of("0123456789abcdef"), name.size());
  if (digest != kHexDigestSize || digest == name.size() || name[digest] != '.') return "";
  return '"' + std::string(name.substr(0, digest)) + '"';
}

Result<ContentRange> ParseRange(std::string_view header, uint64_t size) {
  const size_t dash = header.find('-');
  if (!header.starts_with(kUnit) || dash == std::string_view::npos || size == 0) return BadRange();
  const std::string_view from = header.substr(kUnit.size(), dash - kUnit.size());
  const std::string_view to = header.substr(dash + 1);
  if (from.empty()) {
    SP_TRY(const uint64_t suffix, Number(to));
    if (suffix == 0) return BadRange();
    return ContentRange{size - std::min(suffix, size), size - 1};
  }
  SP_TRY(const uint64_t first, Number(from));
  if (first >= size) return BadRange();
  if (to.empty()) return ContentRange{first, size - 1};
  SP_TRY(const uint64_t last, Number(to));
  if (last < first) return BadRange();
  return ContentRange{first, std::min(last, size - 1)};
}

Result<ContentFile> ContentFile::Open(const std::string& directory, const ContentPath& path) {
  Descriptor at(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const std::vector<std::string> segments = Segments(path.text());
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
