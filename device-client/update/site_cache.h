// SiteCache: the files of releases, kept on one node so that its site downloads each of them once.
// A file is named by its digest. What is kept was compared with its name; what is on its way is
// passed on as it arrives, but never to its end before that comparison (docs/updates.md, Site
// cache).
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "device-client/update/downloader.h"
#include "pki/base/file_system.h"

namespace sallyport::device {

// Downloads at once; a release has three files.
inline constexpr size_t kCacheArrivalsMax = 4;
// The end of a file that is held back until the whole was compared with its name.
inline constexpr uint64_t kCacheHeldBack = 4096;

struct SiteCacheOptions {
  std::string directory;
  uint64_t size_max;
};

struct SiteCacheStatus {
  uint64_t files = 0;
  uint64_t bytes = 0;    // on disk
  uint64_t fetched = 0;  // from mirrors and the server
  uint64_t served = 0;   // to neighbours and this node
  std::string refusal;   // the last failure, empty after a success
};

// SiteCache is thread-safe; borrows `files` and `origin`.
class SiteCache {
 private:
  struct Blob;

 public:
  // Reader reads one file; one thread at a time. It may outlive the file's place in the cache, not
  // the cache.
  class Reader {
   public:
    uint64_t size() const;
    // ReadAt waits for bytes that are on their way and returns how many it read, 0 at the end only.
    // Errors of the download; kMismatch, cache.digest: the whole is not what its name says;
    // kUnavailable, cache.stopping.
    Result<size_t> ReadAt(uint64_t offset, std::span<uint8_t> out);

   private:
    friend class SiteCache;
    Reader(SiteCache& cache, std::shared_ptr<Blob> blob, std::unique_ptr<File> file)
        : cache_(cache), blob_(std::move(blob)), file_(std::move(file)) {}
    SiteCache& cache_;
    const std::shared_ptr<Blob> blob_;  // shared with the cache and the thread that fills it
    const std::unique_ptr<File> file_;
  };

  // Start makes the directory and takes up what is there; what a power cut left half is removed.
  // Errors of `files`.
  static Result<std::unique_ptr<SiteCache>> Start(SiteCacheOptions options, FileSystem& files,
                                                  Downloader& origin);
  ~SiteCache();
  SiteCache(const SiteCache&) = delete;
  SiteCache& operator=(const SiteCache&) = delete;

  // Open finds `path` (below `/image/`: targets/<directory>/<sha256>.<file>) or begins to download
  // it. kNotFound, cache.name, for other paths; kNoSpace, cache.full, when it does not fit beside
  // what is on its way; errors of Downloader::Size and of `files`.
  Result<std::unique_ptr<Reader>> Open(const std::string& path);
  // Stop ends what is on its way and waits for it.
  void Stop();
  SiteCacheStatus status() const;

 private:
  class Arrival;
  struct Job {
    ota::RemoteFile file;
    std::shared_ptr<Blob> blob;
  };

  SiteCache(SiteCacheOptions options, FileSystem& files, Downloader& origin)
      : options_(std::move(options)), files_(files), origin_(origin) {}
  Result<Unit> TakeUp();
  // These three need mutex_.
  std::shared_ptr<Blob> Use(const ota::RemoteFile& file);
  Result<Unit> MakeRoom(uint64_t length);
  void Remove(const std::string& digest);

  void Work();
  void Run(const Job& job);
  Result<Unit> Check(const Job& job);
  Result<Unit> Receive(const Job& job);
  std::string PathOf(const Blob& blob, bool complete) const;

  const SiteCacheOptions options_;
  FileSystem& files_;
  Downloader& origin_;
  mutable std::mutex mutex_;  // guards the rest and what changes in every Blob
  std::condition_variable changed_;
  bool stopping_ = false;
  std::map<std::string, std::shared_ptr<Blob>> blobs_;  // by digest in hex
  std::deque<Job> jobs_;
  uint64_t uses_ = 0;
  SiteCacheStatus status_;
  std::vector<std::thread> workers_;
};

// SiteCacheOrigin lets the caching node itself read through its cache. Borrows it.
class SiteCacheOrigin final : public ContentOrigin {
 public:
  explicit SiteCacheOrigin(SiteCache& cache) : cache_(cache) {}
  Result<Unit> Get(const ContentRequest& request, ota::ByteSink& sink) const override;
  Result<uint64_t> Size(const std::string& path) const override;

 private:
  SiteCache& cache_;
};

}  // namespace sallyport::device
