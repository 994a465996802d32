#include "ota/install/block_target.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "pki/base/file_system.h"

namespace sallyport::ota {
namespace {

// The descriptor only claims the device and drops its cache; File does the input and output.
class PosixBlockTarget final : public BlockTarget {
 public:
  PosixBlockTarget(std::unique_ptr<File> file, int claim, std::string path)
      : file_(std::move(file)), claim_(claim), path_(std::move(path)) {}
  PosixBlockTarget(const PosixBlockTarget&) = delete;
  PosixBlockTarget& operator=(const PosixBlockTarget&) = delete;
  ~PosixBlockTarget() override { ::close(claim_); }

  Result<uint64_t> Size() override { return file_->Size(); }
  Result<Unit> WriteAt(uint64_t offset, ByteView bytes) override {
    return file_->WriteAt(offset, bytes);
  }
  Result<Unit> Sync() override { return file_->Sync(); }

  Result<Unit> DropCache() override {
    SP_TRY(file_->Sync());
    struct stat info{};
    if (::fstat(claim_, &info) != 0) return Error{Reason::kUnavailable, "stat " + path_};
    if (S_ISBLK(info.st_mode) && ::ioctl(claim_, BLKFLSBUF, 0) != 0)
      return Error{Reason::kUnavailable, "drop the buffers of " + path_};
    if (::posix_fadvise(claim_, 0, 0, POSIX_FADV_DONTNEED) != 0)
      return Error{Reason::kUnavailable, "drop the cache of " + path_};
    return Unit{};
  }

  Result<Unit> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
    SP_TRY(const size_t size, file_->ReadAt(offset, out));
    if (size != out.size()) return Error{Reason::kUnavailable, path_ + " ends early"};
    return Unit{};
  }

 private:
  std::unique_ptr<File> file_;
  const int claim_;
  const std::string path_;
};

// O_EXCL on a block device fails while it is mounted or claimed; on a file without O_CREAT it means
// nothing.
Result<int> Claim(const std::string& path) {
  struct stat info{};
  const bool block = ::stat(path.c_str(), &info) == 0 && S_ISBLK(info.st_mode);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | (block ? O_EXCL : 0));
  if (fd >= 0) return fd;
  if (errno == EBUSY) return Error{Reason::kConflict, path + " is in use", "slot.in-use"};
  return Error{errno == ENOENT ? Reason::kNotFound : Reason::kUnavailable, "open slot " + path};
}

}  // namespace

Result<std::unique_ptr<BlockTarget>> PosixBlockTargetOpener::Open(const std::string& path) {
  SP_TRY(std::unique_ptr<File> file, PosixFileSystem().Open(path, OpenMode::kReadWrite));
  SP_TRY(const int claim, Claim(path));
  return std::unique_ptr<BlockTarget>(
      std::make_unique<PosixBlockTarget>(std::move(file), claim, path));
}

}  // namespace sallyport::ota
