#include "device-client/bundle/bundle_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "ota/metadata/usb_bundle.h"
#include "pki/crypto/hash.h"

namespace sallyport::device {
namespace {

constexpr size_t kChunk = 256 * 1024;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Error NotAFile(const std::string& name) {
  return Error{Reason::kUntrusted, name + " is no regular file", "bundle.file-type"};
}

Error FromErrno(int code, const std::string& name) {
  if (code == ELOOP || code == ENOTDIR) return NotAFile(name);
  const Reason reason = code == ENOENT ? Reason::kNotFound : Reason::kUnavailable;
  return Error{reason, name + ": " + std::system_category().message(code)};
}

// OpenBeneath follows no link on the way from `root` to the file `name`.
Result<Descriptor> OpenBeneath(const std::string& root, std::string_view name) {
  constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  constexpr int kFile = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const std::string shown = root + "/" + std::string(name);
  Descriptor at(::open(root.c_str(), kDirectory));
  if (at.get() < 0) return FromErrno(errno, root);
  while (true) {
    const size_t slash = name.find('/');
    const std::string part(name.substr(0, slash));
    if (part.empty() || part == "." || part == "..") return NotAFile(shown);
    const bool last = slash == std::string_view::npos;
    Descriptor next(::openat(at.get(), part.c_str(), last ? kFile : kDirectory | O_NOFOLLOW));
    if (next.get() < 0) return FromErrno(errno, shown);
    at = std::move(next);
    if (last) break;
    name.remove_prefix(slash + 1);
  }
  struct stat info{};
  if (::fstat(at.get(), &info) != 0) return FromErrno(errno, shown);
  if (!S_ISREG(info.st_mode)) return NotAFile(shown);
  return at;
}

Result<size_t> ReadAt(const Descriptor& file, uint64_t offset, std::span<uint8_t> out,
                      const std::string& name) {
  ssize_t n = -1;
  do n = ::pread(file.get(), out.data(), out.size(), static_cast<off_t>(offset));
  while (n < 0 && errno == EINTR);
  if (n < 0) return Error{Reason::kUnavailable, name + " cannot be read"};
  return static_cast<size_t>(n);
}

Result<Bytes> ReadWhole(const std::string& root, const std::string& name, uint64_t size_max) {
  SP_TRY(const Descriptor file, OpenBeneath(root, name));
  Bytes out;
  Bytes chunk(kChunk);
  while (true) {
    SP_TRY(const size_t n, ReadAt(file, out.size(), chunk, name));
    if (n == 0) return out;
    if (out.size() + n > size_max)
      return Error{Reason::kTooLarge, name + ": above " + std::to_string(size_max) + " bytes"};
    Append(out, ByteView(chunk).first(n));
  }
}

}  // namespace

Result<Bytes> BundleFolder::FetchMetadata(const std::string& file, uint64_t size_max) {
  return ReadWhole(path_, "metadata/" + file, size_max);
}

Result<Bytes> BundleFolder::FetchTarget(const std::string& path, uint64_t size_max) {
  return ReadWhole(path_, "targets/" + path, size_max);
}

bool BundleFolder::HoldsBundle() const {
  const Result<Bytes> statement = ReadWhole(
      path_, "metadata/" + std::string(ota::kBundleStatementFile), ota::kBundleStatementSizeMax);
  return statement && (!statement_ || pki::Sha256(*statement) == *statement_);
}

Result<Unit> BundleFolder::Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                                 ota::ByteSink& sink) {
  const std::string name = "targets/" + ota::ConsistentPath(file.path, HexEncode(file.sha256));
  const Result<Descriptor> opened = OpenBeneath(path_, name);
  if (!opened && !HoldsBundle())
    return Error{Reason::kUnavailable, path_ + " does not hold the bundle: put it back",
                 "bundle.folder-gone"};
  if (!opened && opened.error().reason == Reason::kNotFound)
    return Error{Reason::kNotFound, name + " is not in the bundle", "bundle.file-missing"};
  if (!opened) return opened.error();
  struct stat info{};
  if (::fstat(opened->get(), &info) != 0) return FromErrno(errno, name);
  if (std::cmp_not_equal(info.st_size, file.length))
    return Error{Reason::kMismatch, name + " is not as long as was signed", "bundle.file-length"};
  Bytes chunk(kChunk);
  for (uint64_t done = 0; done < length;) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(kChunk, length - done));
    SP_TRY(const size_t n, ReadAt(*opened, offset + done, std::span(chunk).first(wanted), name));
    if (n == 0) return Error{Reason::kUnavailable, name + " broke off", "bundle.folder-gone"};
    SP_TRY(sink.Write(ByteView(chunk).first(n)));
    done += n;
  }
  return Ok();
}

}  // namespace sallyport::device
