// ForwardingFileSystem: another file system, for tests that change one of its operations.
#pragma once

#include "pki/base/file_system.h"

namespace sallyport {

class ForwardingFileSystem : public FileSystem {
 public:
  explicit ForwardingFileSystem(FileSystem& files) : files_(files) {}
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    return files_.Open(path, mode);
  }
  Result<Unit> Rename(const std::string& from, const std::string& to) override {
    return files_.Rename(from, to);
  }
  Result<Unit> Remove(const std::string& path) override { return files_.Remove(path); }
  Result<Unit> SyncDirectory(const std::string& path) override {
    return files_.SyncDirectory(path);
  }
  Result<Unit> MakeDirectories(const std::string& path) override {
    return files_.MakeDirectories(path);
  }
  Result<std::vector<std::string>> List(const std::string& path) override {
    return files_.List(path);
  }
  Result<uint64_t> FreeBytes(const std::string& path) override { return files_.FreeBytes(path); }

 private:
  FileSystem& files_;
};

}  // namespace sallyport
