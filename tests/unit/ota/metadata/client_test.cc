#include "ota/metadata/client.h"

#include <gtest/gtest.h>

#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport::ota {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

class Download : public testing::Test {
 protected:
  Download() {
    repository_.targets()["dir/file.bin"].content = ToBytes("content");
    repository_.PublishNext();
    EXPECT_TRUE(client_.Initialise(repository_.CurrentRoot()));
  }
  std::string Get(uint64_t size_max = 100) {
    auto trusted = client_.Refresh(repository_, kNow);
    const auto target = client_.FindTarget(*trusted, repository_, "dir/file.bin");
    const auto bytes =
        client_.Download(*trusted, repository_, "dir/file.bin", target->file, size_max);
    return bytes ? ToString(*bytes) : std::string(bytes.error().name());
  }
  Bytes& Served() { return repository_.served_targets.begin()->second; }

  TufRepository repository_{kNow, ""};
  MemoryFileSystem files_;
  MetadataClient client_{files_, "/tuf", {}};
};

TEST_F(Download, ReturnsVerifiedBytesFromTheConsistentName) {
  EXPECT_EQ(Get(), "content");
  EXPECT_EQ(repository_.fetched.back(),
            "dir/ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73.file.bin");
}

TEST_F(Download, RefusesOtherBytesOfTheSameLength) {
  Served()[0] ^= 1;
  EXPECT_EQ(Get(), "tuf.digest");
}

TEST_F(Download, RefusesFewerAndMoreBytes) {
  Served() = ToBytes("conten");
  EXPECT_EQ(Get(), "tuf.length");
  Served() = ToBytes("content+");
  EXPECT_EQ(Get(), "fetch.size");
}

TEST_F(Download, RefusesATargetAboveTheCallersLimit) { EXPECT_EQ(Get(6), "tuf.target-size"); }

TEST(Names, PercentEncodeRolesAndPrefixFiles) {
  EXPECT_EQ(RoleFileName("a/b?c d"), "a%2Fb%3Fc%20d");
  EXPECT_EQ(RoleFileName("\xC3\xA9"), "%C3%A9");
  EXPECT_EQ(ConsistentPath("a/b/c.txt", "00ff"), "a/b/00ff.c.txt");
  EXPECT_EQ(ConsistentPath("c.txt", "00ff"), "00ff.c.txt");
}

TEST(PowerCut, LeavesAStateFromWhichTheNextRefreshSucceeds) {
  for (uint64_t step = 0;; ++step) {
    TufRepository repository(kNow, "");
    MemoryFileSystem files;
    MetadataClient client(files, "/tuf", {});
    ASSERT_TRUE(client.Initialise(repository.CurrentRoot()));
    ASSERT_TRUE(client.Refresh(repository, kNow));
    repository.RotateKeys("root");
    repository.role("root").version = 2;
    repository.PublishRoot();
    repository.PublishNext();

    files.CutPowerAfter(step);
    const bool done = client.Refresh(repository, kNow).has_value();
    files.Restart();
    const auto after = client.Refresh(repository, kNow);
    ASSERT_TRUE(after) << "cut after " << step << ": " << after.error().ToString();
    EXPECT_EQ(after->top().version, 2U);
    if (done) break;
  }
}

}  // namespace
}  // namespace sallyport::ota
