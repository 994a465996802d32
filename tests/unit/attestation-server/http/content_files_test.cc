#include "attestation-server/http/content_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/unit/attestation-server/http/loopback.h"

namespace sallyport::server {
namespace {

class ContentFileTest : public ::testing::Test {
 protected:
  ContentFileTest() {
    std::filesystem::create_directories(root / "image" / "targets");
    std::ofstream(root / "secret") << "secret";
    std::ofstream(root / "image" / "targets" / "a") << "content";
  }
  Result<ContentFile> Open(const std::string& name) {
    return ContentFile::Open((root / "image").string(),
                             *ContentPath::Parse("/image/" + name, "/image/"));
  }
  TemporaryDirectory temporary;
  std::filesystem::path root = temporary.path();
};

TEST_F(ContentFileTest, ReadsARegularFileAndItsEnd) {
  const auto file = Open("targets/a");
  ASSERT_TRUE(file.has_value());
  std::string text(16, 0);
  EXPECT_EQ(file->size(), 7u);
  EXPECT_EQ(*file->ReadAt(3, text), 4u);
  EXPECT_EQ(text.substr(0, 4), "tent");
  EXPECT_EQ(*file->ReadAt(7, text), 0u);
}

TEST_F(ContentFileTest, FollowsNoSymbolicLink) {
  std::filesystem::create_symlink(root / "secret", root / "image" / "targets" / "out");
  std::filesystem::create_symlink("a", root / "image" / "targets" / "inside");
  std::filesystem::create_directory_symlink(root, root / "image" / "up");
  for (const char* name : {"targets/out", "targets/inside", "up/secret"})
    EXPECT_FALSE(Open(name).has_value()) << name;
}

TEST_F(ContentFileTest, OpensNothingButRegularFiles) {
  ASSERT_EQ(::mkfifo((root / "image" / "fifo").c_str(), 0600), 0);
  for (const char* name : {"targets", "fifo", "missing", "missing/a", "targets/a/b"}) {
    const auto file = Open(name);
    ASSERT_FALSE(file.has_value()) << name;
    EXPECT_EQ(file.error().rule, "content.path") << name;
  }
}

}  // namespace
}  // namespace sallyport::server
