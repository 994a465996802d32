#include "ota/install/block_target.h"

#include <unistd.h>

#include <filesystem>

#include "pki/base/file_system.h"

namespace sallyport::ota {
namespace {

class BlockTargetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "slot-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    ASSERT_TRUE(WriteFileAtomically(files_, Path(), Bytes(8192, 1)));
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path() const { return directory_ + "/slot"; }

  PosixFileSystem files_;
  PosixBlockTargetOpener opener_;
  std::string directory_;
};

TEST_F(BlockTargetTest, ReadsBackWhatItWroteAfterDroppingTheCache) {
  const auto target = *opener_.Open(Path());
  ASSERT_TRUE(target->WriteAt(4096, Bytes(100, 7)));
  ASSERT_TRUE(target->Sync());
  ASSERT_TRUE(target->DropCache());

  Bytes read(100);
  ASSERT_TRUE(target->ReadAt(4096, read));
  EXPECT_EQ(read, Bytes(100, 7));
  EXPECT_EQ(*target->Size(), 8192u);
}

TEST_F(BlockTargetTest, RefusesToReadBeyondItsEnd) {
  const auto target = *opener_.Open(Path());
  Bytes read(2);
  EXPECT_EQ(target->ReadAt(8191, read).error().reason, Reason::kUnavailable);
}

TEST_F(BlockTargetTest, NeverMakesASlot) {
  EXPECT_EQ(opener_.Open(directory_ + "/other").error().reason, Reason::kNotFound);
}

}  // namespace
}  // namespace sallyport::ota
