// FileSystem is the seam for durable storage: few operations, each of which a test can fail or cut.
// Power-cut order is the caller's: write, Sync, Rename, SyncDirectory (WriteFileAtomically does
// it).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pki/base/bytes.h"
#include "pki/base/result.h"

namespace sallyport {

// File is used by one thread at a time. Closed by its destructor.
class File {
 public:
  virtual ~File() = default;
  // ReadAt fills `out` and returns the number of bytes read: short only at the end of the file.
  virtual Result<size_t> ReadAt(uint64_t offset, std::span<uint8_t> out) = 0;
  // WriteAt writes all of `bytes` or fails; kNoSpace when the medium is full.
  virtual Result<Unit> WriteAt(uint64_t offset, ByteView bytes) = 0;
  // Sync makes data durable (fdatasync).
  virtual Result<Unit> Sync() = 0;
  virtual Result<uint64_t> Size() = 0;
};

enum class OpenMode : uint8_t {
  kRead,
  kReadWrite,  // must exist
  kCreate,     // created or truncated; permissions 0600
};

// FileSystem: thread-safe. Errors: kNotFound, kNoSpace, kUnavailable (I/O error).
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  virtual Result<Unit> Rename(const std::string& from, const std::string& to) = 0;
  virtual Result<Unit> Remove(const std::string& path) = 0;
  virtual Result<Unit> SyncDirectory(const std::string& path) = 0;
  // MakeDirectories creates the path with permissions 0700; no error when it exists.
  virtual Result<Unit> MakeDirectories(const std::string& path) = 0;
  // List returns names, not paths, sorted.
  virtual Result<std::vector<std::string>> List(const std::string& path) = 0;
  virtual Result<uint64_t> FreeBytes(const std::string& path) = 0;
};

// ParentDirectory: "." of a bare name, "/" of what lies in the root.
std::string ParentDirectory(std::string_view path);
// ReadFile returns kTooLarge above `size_max` bytes. Reads until the end whatever Size says
// (securityfs).
Result<Bytes> ReadFile(FileSystem& files, const std::string& path, uint64_t size_max);
// WriteFileAtomically: after a power cut the file holds the old or the new bytes, never a mixture.
Result<Unit> WriteFileAtomically(FileSystem& files, const std::string& path, ByteView bytes);
// SyncFile makes a file and its name durable, whoever wrote them: what a process finds that starts
// after another was killed may be in memory only. kNotFound.
Result<Unit> SyncFile(FileSystem& files, const std::string& path);

// RemoveIfThere: no error when there is nothing to remove. The caller makes it durable.
Result<Unit> RemoveIfThere(FileSystem& files, const std::string& path);

// PosixFileSystem is constructed in composition roots only.
class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Result<Unit> Rename(const std::string& from, const std::string& to) override;
  Result<Unit> Remove(const std::string& path) override;
  Result<Unit> SyncDirectory(const std::string& path) override;
  Result<Unit> MakeDirectories(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& path) override;
  Result<uint64_t> FreeBytes(const std::string& path) override;
};

}  // namespace sallyport
