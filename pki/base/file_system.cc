#include "pki/base/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace sallyport {
namespace {

Error FromErrno(int code, const std::string& what) {
  const Reason reason = code == ENOENT                     ? Reason::kNotFound
                        : code == ENOSPC || code == EDQUOT ? Reason::kNoSpace
                                                           : Reason::kUnavailable;
  return Error{reason, what + ": " + std::system_category().message(code)};
}

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;
  ~PosixFile() override { ::close(fd_); }

  Result<size_t> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n =
          ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return FromErrno(errno, "read " + path_);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Result<Unit> WriteAt(uint64_t offset, ByteView bytes) override {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::pwrite(fd_, bytes.data() + done, bytes.size() - done,
                                 static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return FromErrno(errno, "write " + path_);
      done += static_cast<size_t>(n);
    }
    return Unit{};
  }

  Result<Unit> Sync() override {
    if (::fdatasync(fd_) != 0) return FromErrno(errno, "sync " + path_);
    return Unit{};
  }

  // Size of a block device is where its end is, not what stat says.
  Result<uint64_t> Size() override {
    const off_t end = ::lseek(fd_, 0, SEEK_END);
    if (end < 0) return FromErrno(errno, "size of " + path_);
    return static_cast<uint64_t>(end);
  }

 private:
  const int fd_;
  const std::string path_;
};

int Flags(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead: return O_RDONLY | O_CLOEXEC;
    case OpenMode::kReadWrite: return O_RDWR | O_CLOEXEC;
    case OpenMode::kCreate: return O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC;
  }
  std::abort();
}

}  // namespace

Result<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path, OpenMode mode) {
  const int fd = ::open(path.c_str(), Flags(mode), 0600);
  if (fd < 0) return FromErrno(errno, "open " + path);
  return std::unique_ptr<File>(std::make_unique<PosixFile>(fd, path));
}

Result<Unit> PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    return FromErrno(errno, "rename " + from + " to " + to);
  return Unit{};
}

Result<Unit> PosixFileSystem::Remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return FromErrno(errno, "remove " + path);
  return Unit{};
}

Result<Unit> PosixFileSystem::SyncDirectory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return FromErrno(errno, "open " + path);
  const int rc = ::fsync(fd);
  const int code = errno;
  ::close(fd);
  if (rc != 0) return FromErrno(code, "sync " + path);
  return Unit{};
}

Result<Unit> PosixFileSystem::MakeDirectories(const std::string& path) {
  std::string part;
  for (size_t end = 1; end <= path.size(); ++end) {
    if (end < path.size() && path[end] != '/') continue;
    part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
      return FromErrno(errno, "create directory " + part);
  }
  return Unit{};
}

Result<std::vector<std::string>> PosixFileSystem::List(const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end;
       it.increment(error))
    names.push_back(it->path().filename().string());
  if (error) return FromErrno(error.value(), "list " + path);
  std::ranges::sort(names);
  return names;
}

Result<uint64_t> PosixFileSystem::FreeBytes(const std::string& path) {
  struct statvfs info{};
  if (::statvfs(path.c_str(), &info) != 0) return FromErrno(errno, "free space of " + path);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

std::string ParentDirectory(std::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == path.npos ? "." : path.substr(0, std::max<size_t>(slash, 1)));
}

Result<Bytes> ReadFile(FileSystem& files, const std::string& path, uint64_t size_max) {
  SP_TRY(const std::unique_ptr<File> file, files.Open(path, OpenMode::kRead));
  constexpr size_t kChunk = 64 * 1024;
  Bytes out;
  while (true) {
    const size_t held = out.size();
    out.resize(held + kChunk);
    SP_TRY(const size_t n, file->ReadAt(held, std::span(out).subspan(held)));
    out.resize(held + n);
    if (out.size() > size_max)
      return Error{Reason::kTooLarge, path + ": above " + std::to_string(size_max) + " bytes"};
    if (n < kChunk) return out;
  }
}

Result<Unit> WriteFileAtomically(FileSystem& files, const std::string& path, ByteView bytes) {
  const std::string temporary = path + ".tmp";
  {
    SP_TRY(const std::unique_ptr<File> file, files.Open(temporary, OpenMode::kCreate));
    SP_TRY(file->WriteAt(0, bytes));
    SP_TRY(file->Sync());
  }
  SP_TRY(files.Rename(temporary, path));
  return files.SyncDirectory(ParentDirectory(path));
}

Result<Unit> SyncFile(FileSystem& files, const std::string& path) {
  SP_TRY(const std::unique_ptr<File> file, files.Open(path, OpenMode::kRead));
  SP_TRY(file->Sync());
  return files.SyncDirectory(ParentDirectory(path));
}

Result<Unit> RemoveIfThere(FileSystem& files, const std::string& path) {
  const Result<Unit> removed = files.Remove(path);
  if (!removed && removed.error().reason != Reason::kNotFound) return removed.error();
  return Unit{};
}

}  // namespace sallyport
