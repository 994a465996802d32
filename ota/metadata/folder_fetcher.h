// FolderFetcher serves a repository that lies in two folders.
#pragma once

#include <string>

#include "ota/metadata/client.h"

namespace sallyport::ota {

class FolderFetcher final : public Fetcher {
 public:
  FolderFetcher(FileSystem& files, std::string metadata, std::string targets)
      : files_(files), metadata_(std::move(metadata)), targets_(std::move(targets)) {}
  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override {
    return ReadFile(files_, metadata_ + "/" + file, size_max);
  }
  Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) override {
    return ReadFile(files_, targets_ + "/" + path, size_max);
  }

 private:
  FileSystem& files_;
  std::string metadata_;
  std::string targets_;
};

}  // namespace sallyport::ota
