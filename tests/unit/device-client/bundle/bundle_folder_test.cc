#include "device-client/bundle/bundle_folder.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "pki/crypto/hash.h"

namespace sallyport::device {
namespace {

namespace fs = std::filesystem;

class CollectingSink final : public ota::ByteSink {
 public:
  Result<Unit> Write(ByteView bytes) override {
    held += AsText(bytes);
    return Ok();
  }
  std::string held;
};

class BundleFolderTest : public testing::Test {
 protected:
  BundleFolderTest() {
    fs::create_directories(dir_ + "/stick/metadata");
    Put("targets/" + Name(), content_);
    Put("metadata/bundle.json", kStatement);
  }
  ~BundleFolderTest() override { fs::remove_all(dir_); }
  std::string Name() const {
    return ota::ConsistentPath(file_.path, HexEncode(pki::Sha256(AsBytes(content_))));
  }
  void Put(const std::string& name, const std::string& content) {
    const std::string path = dir_ + "/stick/" + name;
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << content;
  }
  std::string Fetch(uint64_t offset = 0) {
    CollectingSink sink;
    const auto fetched = folder_.Fetch(file_, offset, content_.size() - offset, sink);
    return fetched ? sink.held : std::string(fetched.error().name());
  }
  std::string Metadata(const std::string& name, uint64_t size_max = 1000) {
    const auto bytes = folder_.FetchMetadata(name, size_max);
    return bytes ? ToString(*bytes) : std::string(bytes.error().name());
  }

  static std::string NewDirectory() {
    char name[] = "/tmp/sp-stick-XXXXXX";
    return ::mkdtemp(name);
  }

  const std::string dir_ = NewDirectory();
  const std::string content_ = [] {
    std::string out(300'000, 'p');
    out += "end";
    return out;
  }();
  const ota::RemoteFile file_{"releases/edge-os/2.0.0/payload.bin", content_.size(),
                              pki::Sha256(AsBytes(content_))};
  static constexpr const char* kStatement = "this bundle";
  BundleFolder folder_{dir_ + "/stick", pki::Sha256(AsBytes(kStatement))};
};

TEST_F(BundleFolderTest, ReadsFilesFromAnyOffset) {
  EXPECT_TRUE(Fetch() == content_);
  EXPECT_EQ(Fetch(content_.size() - 5), "ppend");
  Put("metadata/timestamp.json", "{}");
  EXPECT_EQ(Metadata("timestamp.json"), "{}");
  EXPECT_TRUE(ToString(*folder_.FetchTarget(Name(), content_.size())) == content_);
}

TEST_F(BundleFolderTest, AFolderThatIsGoneMayComeBack) {
  fs::rename(dir_ + "/stick", dir_ + "/pocket");
  CollectingSink sink;
  const auto fetched = folder_.Fetch(file_, 0, file_.length, sink);
  EXPECT_EQ(fetched.error().name(), "bundle.folder-gone");
  EXPECT_EQ(fetched.error().reason, Reason::kUnavailable);
  fs::rename(dir_ + "/pocket", dir_ + "/stick");
  EXPECT_TRUE(Fetch() == content_);
}

TEST_F(BundleFolderTest, AFileThatIsNotInTheBundleIsNotWaitedFor) {
  fs::remove(dir_ + "/stick/targets/" + Name());
  CollectingSink sink;
  const auto fetched = folder_.Fetch(file_, 0, file_.length, sink);
  EXPECT_EQ(fetched.error().name(), "bundle.file-missing");
  EXPECT_EQ(fetched.error().reason, Reason::kNotFound);
  fs::remove_all(dir_ + "/stick/targets");
  EXPECT_EQ(Fetch(), "bundle.file-missing");
}

TEST_F(BundleFolderTest, AnotherStickInItsPlaceIsNotTheBundle) {
  fs::remove(dir_ + "/stick/targets/" + Name());
  Put("metadata/bundle.json", "another bundle");
  EXPECT_EQ(Fetch(), "bundle.folder-gone");
  fs::remove(dir_ + "/stick/metadata/bundle.json");
  EXPECT_EQ(Fetch(), "bundle.folder-gone") << "an empty mount point";
  fs::remove_all(dir_ + "/stick");
  EXPECT_EQ(Fetch(), "bundle.folder-gone");
}

TEST_F(BundleFolderTest, AFileOfAnotherLengthIsRefusedBeforeItIsRead) {
  fs::resize_file(dir_ + "/stick/targets/" + Name(), content_.size() - 1);
  EXPECT_EQ(Fetch(), "bundle.file-length");
  fs::resize_file(dir_ + "/stick/targets/" + Name(), content_.size() + 1);
  EXPECT_EQ(Fetch(), "bundle.file-length");
}

TEST_F(BundleFolderTest, FollowsNoLinkAndOpensNoPipe) {
  std::ofstream(dir_ + "/secret") << "secret";
  fs::create_symlink(dir_ + "/secret", dir_ + "/stick/metadata/link.json");
  EXPECT_EQ(Metadata("link.json"), "bundle.file-type");
  ASSERT_EQ(::mkfifo((dir_ + "/stick/metadata/pipe.json").c_str(), 0600), 0);
  EXPECT_EQ(Metadata("pipe.json"), "bundle.file-type");
  fs::create_directories(dir_ + "/stick/metadata/folder.json");
  EXPECT_EQ(Metadata("folder.json"), "bundle.file-type");
  fs::create_symlink("/dev/zero", dir_ + "/stick/metadata/endless.json");
  EXPECT_EQ(Metadata("endless.json"), "bundle.file-type");
}

TEST_F(BundleFolderTest, FollowsNoLinkedFolderOnTheWay) {
  fs::rename(dir_ + "/stick/targets/releases", dir_ + "/elsewhere");
  fs::create_directory_symlink(dir_ + "/elsewhere", dir_ + "/stick/targets/releases");
  EXPECT_EQ(Fetch(), "bundle.file-type");
  fs::remove(dir_ + "/stick/targets/releases");
  fs::rename(dir_ + "/elsewhere", dir_ + "/stick/targets/releases");
  EXPECT_TRUE(Fetch() == content_);
}

TEST_F(BundleFolderTest, LeavesItsFolderOnNoPath) {
  std::ofstream(dir_ + "/secret") << "secret";
  Put("metadata/a/b", "b");
  for (const std::string name : {"../../secret", "..", ".", "", "a//b", "/etc/passwd"})
    EXPECT_EQ(Metadata(name), "bundle.file-type") << name;
}

TEST_F(BundleFolderTest, ReadsNoMoreThanIsAllowed) {
  Put("metadata/bundle.json", std::string(1001, 'x'));
  EXPECT_EQ(Metadata("bundle.json"), "too-large");
  EXPECT_EQ(Metadata("bundle.json", 1001), std::string(1001, 'x'));
  fs::resize_file(dir_ + "/stick/metadata/bundle.json", uint64_t{1} << 40);
  EXPECT_EQ(Metadata("bundle.json"), "too-large") << "a sparse file costs nothing to make";
}

TEST_F(BundleFolderTest, SaysWhatIsNotThere) { EXPECT_EQ(Metadata("root.json"), "not-found"); }

}  // namespace
}  // namespace sallyport::device
