#include "device-client/update/site_cache.h"

#include <filesystem>
#include <fstream>
#include <future>

#include "tests/fakes/fake_clock.h"
#include "tests/fakes/forwarding_file_system.h"
#include "tests/unit/attestation-server/http/loopback.h"
#include "tests/unit/device-client/update/fake_origin.h"
#include <gtest/gtest.h>

namespace sallyport::device {
namespace {

// FullFileSystem has no room for another byte once told so.
class FullFileSystem final : public ForwardingFileSystem {
 public:
  using ForwardingFileSystem::ForwardingFileSystem;
  class FullFile final : public File {
   public:
    FullFile(std::unique_ptr<File> file, const FullFileSystem& files)
        : file_(std::move(file)), files_(files) {}
    Result<size_t> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
      return file_->ReadAt(offset, out);
    }
    Result<Unit> WriteAt(uint64_t offset, ByteView bytes) override {
      if (offset + bytes.size() > files_.file_bytes_max) return Error{Reason::kNoSpace, "injected"};
      return file_->WriteAt(offset, bytes);
    }
    Result<Unit> Sync() override { return file_->Sync(); }
    Result<uint64_t> Size() override { return file_->Size(); }

   private:
    std::unique_ptr<File> file_;
    const FullFileSystem& files_;
  };
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    SP_TRY(auto file, ForwardingFileSystem::Open(path, mode));
    return std::unique_ptr<File>(std::make_unique<FullFile>(std::move(file), *this));
  }
  Result<uint64_t> FreeBytes(const std::string&) override { return free.load(); }

  std::atomic<uint64_t> file_bytes_max = UINT64_MAX;
  std::atomic<uint64_t> free = UINT64_MAX;
};

class SiteCacheTest : public ::testing::Test {
 protected:
  SiteCacheTest() { Publish(content); }
  ota::RemoteFile Publish(const Bytes& bytes) {
    const ota::RemoteFile published = MakeFile(bytes);
    server.Put(published, bytes);
    return published;
  }
  std::unique_ptr<SiteCache> Start(uint64_t size_max = 100 << 20) {
    return *SiteCache::Start({directory.path().string() + "/cache", size_max}, files, origin);
  }
  // Read returns the whole file as a neighbour gets it.
  static Result<Bytes> Read(SiteCache& cache, const ota::RemoteFile& file) {
    CollectingSink sink;
    SP_TRY(SiteCacheOrigin(cache).Get({TargetPath(file), 0, file.length, file.length}, sink));
    return std::move(sink.held);
  }
  std::string RuleOf(SiteCache& cache, const std::string& path) {
    const auto opened = cache.Open(path);
    return opened ? "" : std::string(opened.error().name());
  }
  bool Keeps(const ota::RemoteFile& kept) const {
    return std::filesystem::exists(directory.path() / "cache" / HexEncode(kept.sha256));
  }

  FakeClock clock{UnixTime{}};
  Pacer pacer{clock, [] { return kUnlimitedRate; }};
  TemporaryDirectory directory;
  PosixFileSystem disk;
  FullFileSystem files{disk};
  FakeOrigin server;
  Downloader origin{{{{"server", SourceKind::kServer, server}}, clock, pacer, 0}};
  Bytes content = SomeBytes(3 << 20);
  ota::RemoteFile file = MakeFile(content);
};

TEST_F(SiteCacheTest, LoadsAFileOnceForEverybody) {
  const auto cache = Start();
  std::vector<std::future<Result<Bytes>>> readers;
  for (int i = 0; i < 8; ++i)
    readers.push_back(std::async(std::launch::async, [&] { return Read(*cache, file); }));
  for (auto& reader : readers) EXPECT_EQ(*reader.get(), content);
  EXPECT_EQ(*Read(*cache, file), content);
  EXPECT_EQ(server.asked.size(), 1u);
  EXPECT_EQ(cache->status().fetched, content.size());
  EXPECT_EQ(cache->status().served, 9 * content.size());
}

TEST_F(SiteCacheTest, ReadsAnyRange) {
  const auto cache = Start();
  for (const uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{1'000'003}, file.length - 1}) {
    CollectingSink sink;
    ASSERT_TRUE(SiteCacheOrigin(*cache).Get(
        {TargetPath(file), offset, file.length - offset, file.length}, sink));
    EXPECT_EQ(sink.held, Bytes(content.begin() + static_cast<int64_t>(offset), content.end()));
  }
}

TEST_F(SiteCacheTest, PassesOnWhatIsOnItsWayButNotItsEnd) {
  std::promise<void> half, go_on;
  size_t sent = 0;
  server.each = [&] {
    if (++sent * server.chunk != file.length) return;
    half.set_value();  // the last chunk is about to come
    go_on.get_future().wait();
  };
  const auto cache = Start();
  const auto reader = *cache->Open(TargetPath(file));
  half.get_future().wait();
  Bytes chunk(64 << 10);
  EXPECT_EQ(*reader->ReadAt(1 << 20, chunk), chunk.size());
  EXPECT_FALSE(Keeps(file));
  go_on.set_value();
  EXPECT_EQ(*reader->ReadAt(file.length - 1, chunk), 1u);
  EXPECT_TRUE(Keeps(file));
  EXPECT_EQ(*reader->ReadAt(file.length, chunk), 0u);
}

TEST_F(SiteCacheTest, NeverServesTheEndOfAFileThatIsNotWhatItsNameSays) {
  server.lies_at = 5;
  const auto cache = Start();
  const auto reader = *cache->Open(TargetPath(file));
  Bytes chunk(64 << 10);
  EXPECT_EQ(reader->ReadAt(file.length - kCacheHeldBack, chunk).error().rule, "cache.digest");
  EXPECT_FALSE(Keeps(file));
  EXPECT_EQ(cache->status().files, 0u);
  server.lies_at = UINT64_MAX;
  EXPECT_EQ(*Read(*cache, file), content);  // whoever asks next begins anew
}

TEST_F(SiteCacheTest, TellsReadersWhenTheDownloadBreaksOff) {
  server.breaks_at = 100'000;
  const auto cache = Start();
  EXPECT_EQ(Read(*cache, file).error().rule, "content.truncated");
  EXPECT_NE(cache->status().refusal, "");
  server.breaks_at = UINT64_MAX;
  EXPECT_EQ(*Read(*cache, file), content);
  EXPECT_EQ(cache->status().refusal, "");
}

TEST_F(SiteCacheTest, DoesNotBelieveHowLongAFileIsSaidToBe) {
  server.said_size = 1000;
  const auto cache = Start();
  EXPECT_EQ((*cache->Open(TargetPath(file)))->size(), 1000u);
  EXPECT_EQ(Read(*cache, file).error().rule, "cache.digest");
  EXPECT_FALSE(Keeps(file));
}

TEST_F(SiteCacheTest, KnowsNoFileButThoseNamedByTheirDigest) {
  const auto cache = Start();
  const std::string digest(64, 'a');
  for (const std::string& path :
       {std::string(), std::string("targets/"), std::string("targets/releases/payload.bin"),
        "targets/" + digest, "metadata/" + digest + ".json", "targets/../" + digest + ".bin",
        "targets/x/" + digest + ".", "targets/" + std::string(64, 'A') + ".bin",
        "targets/" + digest + "a.bin", "targets/" + digest + ".bin/"})
    EXPECT_EQ(RuleOf(*cache, path), "cache.name") << path;
  EXPECT_EQ(RuleOf(*cache, "targets/x/" + digest + ".bin"), "not-found");
  EXPECT_TRUE(server.asked.empty());
}

TEST_F(SiteCacheTest, RemovesTheLeastRecentlyUsedForANewOne) {
  const ota::RemoteFile first = Publish(SomeBytes(1'000'000));
  const ota::RemoteFile second = Publish(SomeBytes(1'000'001));
  const ota::RemoteFile third = Publish(SomeBytes(1'000'002));
  const auto cache = Start(2'500'000);
  for (const auto& one : {first, second, first, third}) ASSERT_TRUE(Read(*cache, one));
  EXPECT_TRUE(Keeps(first) && Keeps(third));
  EXPECT_FALSE(Keeps(second));
  EXPECT_LE(cache->status().bytes, 2'500'000u);
}

TEST_F(SiteCacheTest, RefusesWhatDoesNotFit) {
  const auto cache = Start(2 << 20);
  EXPECT_EQ(RuleOf(*cache, TargetPath(file)), "cache.full");
  files.free = 1000;
  EXPECT_EQ(RuleOf(*cache, TargetPath(Publish(SomeBytes(1001)))), "cache.full");
  EXPECT_TRUE(server.asked.empty());
}

TEST_F(SiteCacheTest, TellsReadersThatTheDiskIsFull) {
  files.file_bytes_max = 1 << 20;
  const auto cache = Start();
  EXPECT_EQ(Read(*cache, file).error().reason, Reason::kNoSpace);
  files.file_bytes_max = UINT64_MAX;
  EXPECT_EQ(*Read(*cache, file), content);
}

TEST_F(SiteCacheTest, KeepsItsFilesOverARestart) {
  ASSERT_TRUE(Read(*Start(), file));
  server.asked.clear();
  const auto cache = Start();
  EXPECT_EQ(cache->status().files, 1u);
  EXPECT_EQ(*Read(*cache, file), content);
  EXPECT_TRUE(server.asked.empty());
}

TEST_F(SiteCacheTest, ComparesWhatItKeptBeforeItIsServedAgain) {
  ASSERT_TRUE(Read(*Start(), file));
  {
    std::fstream rotten(directory.path() / "cache" / HexEncode(file.sha256),
                        std::ios::in | std::ios::out | std::ios::binary);
    rotten.seekp(77).put('!');
  }
  const auto cache = Start();
  EXPECT_EQ(Read(*cache, file).error().rule, "cache.digest");
  EXPECT_EQ(*Read(*cache, file), content);
}

TEST_F(SiteCacheTest, RemovesWhatAPowerCutLeftHalf) {
  std::filesystem::create_directories(directory.path() / "cache");
  const auto part = directory.path() / "cache" / (HexEncode(file.sha256) + ".part");
  std::ofstream(part) << "half";
  const auto cache = Start();
  EXPECT_FALSE(std::filesystem::exists(part));
  EXPECT_EQ(cache->status().files, 0u);
}

TEST_F(SiteCacheTest, TakesALowerLimitAtItsStart) {
  ASSERT_TRUE(Read(*Start(), file));
  EXPECT_EQ(Start(1 << 20)->status().files, 0u);
  EXPECT_FALSE(Keeps(file));
}

TEST_F(SiteCacheTest, EndsReadsThatWaitWhenItStops) {
  std::promise<void> begun;
  const auto cache = Start();
  std::atomic<bool> stopped = false;
  server.each = [&, once = false]() mutable {
    if (!std::exchange(once, true)) begun.set_value();
    while (!stopped) std::this_thread::yield();
  };
  const auto reader = *cache->Open(TargetPath(file));
  begun.get_future().wait();
  auto read = std::async(std::launch::async, [&] {
    Bytes chunk(10);
    return reader->ReadAt(file.length - 1, chunk);
  });
  auto stop = std::async(std::launch::async, [&] { cache->Stop(); });
  EXPECT_EQ(read.get().error().rule, "cache.stopping");
  stopped = true;
  stop.get();
}

}  // namespace
}  // namespace sallyport::device
