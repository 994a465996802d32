#include "device-client/update/site_cache.h"

#include <algorithm>

#include "pki/base/content_request.h"
#include "pki/base/log.h"
#include "pki/crypto/file_hash.h"
#include "pki/crypto/hash.h"

namespace sallyport::device {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr std::string_view kTargets = "targets/";
constexpr std::string_view kPart = ".part";
constexpr size_t kHexDigestSize = 2 * Sha256Digest::kSize;

Error NoSuchBlob() {
  return Error{Reason::kNotFound, "no file that is named by its digest", "cache.name"};
}

Error Full(const std::string& detail) { return Error{Reason::kNoSpace, detail, "cache.full"}; }

Error WrongDigest(const std::string& path) {
  return Error{Reason::kMismatch, path + " is not what its name says", "cache.digest"};
}

// FileOf takes a consistent-snapshot name apart again; its length is not known yet.
Result<ota::RemoteFile> FileOf(const std::string& path) {
  const Result<ContentPath> parsed = ContentPath::Parse(path, kTargets);
  if (!parsed || parsed->etag().empty()) return NoSuchBlob();
  const std::string name = parsed->segments().back();
  if (name.size() == kHexDigestSize + 1) return NoSuchBlob();
  SP_TRY(const Bytes digest, HexDecode(name.substr(0, kHexDigestSize)));
  SP_TRY(const Sha256Digest sha256, Sha256Digest::FromView(digest));
  const std::string directory = parsed->text().substr(0, parsed->text().size() - name.size());
  return ota::RemoteFile{directory + name.substr(kHexDigestSize + 1), 0, sha256};
}

bool IsDigest(std::string_view name) {
  return name.size() == kHexDigestSize &&
         name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

struct SiteCache::Blob {
  enum class State : uint8_t { kComing, kChecked, kFailed };

  const std::string digest;  // hex, its name on the disk
  const uint64_t length;
  bool kept = false;  // complete on the disk since an earlier run
  State state = State::kComing;
  uint64_t arrived = 0;  // what readers may have of a file that is coming
  uint64_t used = 0;     // for the choice of what goes first
  std::optional<Error> error = {};
};

// Arrival writes what comes and lets readers have it.
class SiteCache::Arrival final : public ota::ByteSink {
 public:
  Arrival(SiteCache& cache, Blob& blob, File& file) : cache_(cache), blob_(blob), file_(file) {}

  Result<Unit> Write(ByteView bytes) override {
    SP_TRY(file_.WriteAt(at_, bytes));
    hash_.Update(bytes);
    at_ += bytes.size();
    const std::lock_guard lock(cache_.mutex_);
    if (cache_.stopping_)
      return Error{Reason::kUnavailable, "the agent is stopping", "cache.stopping"};
    cache_.status_.fetched += bytes.size();
    blob_.arrived = std::min(at_, blob_.length - std::min(blob_.length, kCacheHeldBack));
    cache_.changed_.notify_all();
    return Unit{};
  }
  Bytes Digest() { return hash_.Finish(); }

 private:
  SiteCache& cache_;
  Blob& blob_;
  File& file_;
  uint64_t at_ = 0;
  pki::Hasher hash_{pki::HashAlgorithm::kSha256};
};

uint64_t SiteCache::Reader::size() const { return blob_->length; }

Result<size_t> SiteCache::Reader::ReadAt(uint64_t offset, std::span<uint8_t> out) {
  uint64_t end = 0;
  {
    std::unique_lock lock(cache_.mutex_);
    cache_.changed_.wait(lock, [&] {
      end = blob_->state == Blob::State::kChecked ? blob_->length : blob_->arrived;
      return cache_.stopping_ || blob_->error || offset < end || offset >= blob_->length;
    });
    if (blob_->error) return *blob_->error;
    if (offset >= blob_->length) return size_t{0};
    if (offset >= end)
      return Error{Reason::kUnavailable, "the agent is stopping", "cache.stopping"};
    cache_.status_.served += std::min<uint64_t>(out.size(), end - offset);
  }
  const auto size = static_cast<size_t>(std::min<uint64_t>(out.size(), end - offset));
  SP_TRY(const size_t got, file_->ReadAt(offset, out.first(size)));
  if (got == 0) return Error{Reason::kUnavailable, "the cached file is short", "cache.short"};
  return got;
}

Result<std::unique_ptr<SiteCache>> SiteCache::Start(SiteCacheOptions options, FileSystem& files,
                                                    Downloader& origin) {
  std::unique_ptr<SiteCache> cache(new SiteCache(std::move(options), files, origin));
  SP_TRY(files.MakeDirectories(cache->options_.directory));
  SP_TRY(cache->TakeUp());
  for (size_t i = 0; i < kCacheArrivalsMax; ++i)
    cache->workers_.emplace_back([self = cache.get()] { self->Work(); });
  return cache;
}

SiteCache::~SiteCache() { Stop(); }

void SiteCache::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

std::string SiteCache::PathOf(const Blob& blob, bool complete) const {
  return options_.directory + "/" + blob.digest + (complete ? "" : std::string(kPart));
}

Result<Unit> SiteCache::TakeUp() {
  const std::lock_guard lock(mutex_);
  SP_TRY(const std::vector<std::string> names, files_.List(options_.directory));
  for (const std::string& name : names) {
    const std::string path = options_.directory + "/" + name;
    if (name.ends_with(kPart)) SP_TRY(files_.Remove(path));
    if (!IsDigest(name)) continue;
    SP_TRY(const auto file, files_.Open(path, OpenMode::kRead));
    SP_TRY(const uint64_t length, file->Size());
    blobs_[name] = std::make_shared<Blob>(Blob{name, length, true});
  }
  return MakeRoom(0);  // the limit may have been lowered
}

void SiteCache::Remove(const std::string& digest) {
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return;
  for (const bool complete : {true, false}) {
    const Result<Unit> removed = RemoveIfThere(files_, PathOf(*found->second, complete));
    if (!removed)
      Log(LogLevel::kWarning, "site_cache_not_removed", {{"reason", removed.error().ToString()}});
  }
  blobs_.erase(found);
}

Result<Unit> SiteCache::MakeRoom(uint64_t length) {
  if (length > options_.size_max) return Full("a file of " + std::to_string(length) + " bytes");
  for (;;) {
    uint64_t held = 0;
    const Blob* oldest = nullptr;
    for (const auto& [digest, blob] : blobs_) {
      held += blob->length;
      const bool idle = blob->kept || blob->state == Blob::State::kChecked;
      if (idle && (oldest == nullptr || blob->used < oldest->used)) oldest = blob.get();
    }
    if (held <= options_.size_max - length) return Unit{};
    if (oldest == nullptr) return Full("everything in it is on its way");
    Remove(std::string(oldest->digest));
  }
}

// Use finds a blob and, when it was kept by an earlier run, has it compared before it is read.
std::shared_ptr<SiteCache::Blob> SiteCache::Use(const ota::RemoteFile& file) {
  const auto found = blobs_.find(HexEncode(file.sha256));
  if (found == blobs_.end()) return nullptr;
  std::shared_ptr<Blob> blob = found->second;
  blob->used = ++uses_;
  if (!std::exchange(blob->kept, false)) return blob;
  jobs_.push_back({{file.path, blob->length, file.sha256}, blob});
  changed_.notify_all();
  return blob;
}

Result<std::unique_ptr<SiteCache::Reader>> SiteCache::Open(const std::string& path) {
  SP_TRY(ota::RemoteFile file, FileOf(path));
  std::unique_lock lock(mutex_);
  std::shared_ptr<Blob> blob = Use(file);
  if (!blob) {
    lock.unlock();
    SP_TRY(file.length, origin_.Size(path));
    lock.lock();
    blob = Use(file);  // somebody else may have asked meanwhile
  }
  if (!blob) {
    SP_TRY(MakeRoom(file.length));
    SP_TRY(const uint64_t free, files_.FreeBytes(options_.directory));
    if (free < file.length) return Full("the disk has " + std::to_string(free) + " bytes left");
    blob = std::make_shared<Blob>(Blob{HexEncode(file.sha256), file.length});
    blob->used = ++uses_;
    SP_TRY(files_.Open(PathOf(*blob, false), OpenMode::kCreate));
    blobs_[blob->digest] = blob;
    jobs_.push_back({std::move(file), blob});
    changed_.notify_all();
  }
  auto opened = files_.Open(PathOf(*blob, false), OpenMode::kRead);
  if (!opened) opened = files_.Open(PathOf(*blob, true), OpenMode::kRead);
  if (!opened) return std::move(opened).error();
  return std::unique_ptr<Reader>(new Reader(*this, blob, *std::move(opened)));
}

void SiteCache::Work() {
  for (;;) {
    std::optional<Job> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    Run(*job);
  }
}

void SiteCache::Run(const Job& job) {
  auto complete = files_.Open(PathOf(*job.blob, true), OpenMode::kRead);
  const Result<Unit> done = complete ? Check(job) : Receive(job);
  const std::lock_guard lock(mutex_);
  status_.refusal = done ? "" : done.error().ToString();
  if (done) {
    job.blob->state = Blob::State::kChecked;
  } else {
    // Whoever reads it is told; whoever asks next begins anew.
    job.blob->state = Blob::State::kFailed;
    job.blob->error = done.error();
    Remove(job.blob->digest);
    Log(LogLevel::kWarning, "site_cache_failed",
        {{"file", job.file.path}, {"reason", status_.refusal}});
  }
  changed_.notify_all();
}

Result<Unit> SiteCache::Check(const Job& job) {
  const std::string path = PathOf(*job.blob, true);
  SP_TRY(const auto file, files_.Open(path, OpenMode::kRead));
  SP_TRY(const pki::FileHash found, pki::HashFile(*file));
  if (found.sha256 != job.file.sha256) return WrongDigest(path);
  return Unit{};
}

// Receive: durable before it has its name, so that a name means a whole file.
Result<Unit> SiteCache::Receive(const Job& job) {
  const std::string part = PathOf(*job.blob, false);
  {
    SP_TRY(const auto file, files_.Open(part, OpenMode::kReadWrite));
    Arrival arrival(*this, *job.blob, *file);
    SP_TRY(origin_.Fetch(job.file, 0, job.file.length, arrival));
    if (!Equal(arrival.Digest(), job.file.sha256.view())) return WrongDigest(job.file.path);
    SP_TRY(file->Sync());
  }
  SP_TRY(files_.Rename(part, PathOf(*job.blob, true)));
  return files_.SyncDirectory(options_.directory);
}

SiteCacheStatus SiteCache::status() const {
  const std::lock_guard lock(mutex_);
  SiteCacheStatus out = status_;
  out.files = blobs_.size();
  for (const auto& [digest, blob] : blobs_) out.bytes += blob->length;
  return out;
}

Result<Unit> SiteCacheOrigin::Get(const ContentRequest& request, ota::ByteSink& sink) const {
  SP_TRY(const auto reader, cache_.Open(request.path));
  Bytes chunk(kReadBytes);
  for (uint64_t at = request.offset, end = at + request.length; at < end;) {
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(chunk.size(), end - at));
    SP_TRY(const size_t got, reader->ReadAt(at, std::span(chunk).first(wanted)));
    if (got == 0)
      return Error{Reason::kUnavailable, request.path + " ends early", "content.truncated"};
    SP_TRY(sink.Write(ByteView(chunk).first(got)));
    at += got;
  }
  return Unit{};
}

Result<uint64_t> SiteCacheOrigin::Size(const std::string& path) const {
  SP_TRY(const auto reader, cache_.Open(path));
  return reader->size();
}

}  // namespace sallyport::device
