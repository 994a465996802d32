#include "pki/base/file_system.h"

#include "tests/fakes/memory_file_system.h"

namespace sallyport {
namespace {

TEST(WriteFileAtomically, LeavesOldOrNewBytesAfterACutAtEveryOperation) {
  MemoryFileSystem dry;
  ASSERT_TRUE(WriteFileAtomically(dry, "/d/f", AsBytes("old")));
  const uint64_t operations = dry.operations();

  for (uint64_t cut = 0; cut <= operations; ++cut) {
    MemoryFileSystem files;
    ASSERT_TRUE(WriteFileAtomically(files, "/d/f", AsBytes("old")));
    files.CutPowerAfter(cut);
    const bool done = WriteFileAtomically(files, "/d/f", AsBytes("new")).has_value();
    files.Restart();

    const std::string after = ToString(*ReadFile(files, "/d/f", 100));
    EXPECT_EQ(after, done || cut == operations ? "new" : "old") << "cut after " << cut;
  }
}

TEST(WriteFileAtomically, KeepsTheOldFileWhenTheDiskIsFull) {
  MemoryFileSystem files;
  ASSERT_TRUE(WriteFileAtomically(files, "/d/f", AsBytes("old")));
  files.LimitBytes(4);

  EXPECT_EQ(WriteFileAtomically(files, "/d/f", AsBytes("longer")).error().reason, Reason::kNoSpace);
  EXPECT_EQ(ToString(*ReadFile(files, "/d/f", 100)), "old");
}

TEST(ParentDirectory, IsTheFolderThatHoldsTheName) {
  EXPECT_EQ(ParentDirectory("/a/b/c"), "/a/b");
  EXPECT_EQ(ParentDirectory("a/b"), "a");
  EXPECT_EQ(ParentDirectory("/a"), "/");
  EXPECT_EQ(ParentDirectory("a"), ".");
}

TEST(RemoveIfThere, IsContentWithAnAbsentFileAlone) {
  MemoryFileSystem files;
  ASSERT_TRUE(WriteFileAtomically(files, "/d/f", AsBytes("x")));
  EXPECT_TRUE(RemoveIfThere(files, "/d/f"));
  EXPECT_TRUE(RemoveIfThere(files, "/d/f"));
  ASSERT_TRUE(WriteFileAtomically(files, "/d/f", AsBytes("x")));
  files.CutPowerAfter(0);
  EXPECT_FALSE(RemoveIfThere(files, "/d/f"));
}

TEST(ReadFile, RefusesAFileAboveTheMaximum) {
  MemoryFileSystem files;
  ASSERT_TRUE(WriteFileAtomically(files, "/d/f", Bytes(11)));

  EXPECT_EQ(ReadFile(files, "/d/f", 10).error().reason, Reason::kTooLarge);
  EXPECT_TRUE(ReadFile(files, "/d/f", 11));
}

TEST(PosixFileSystem, WritesReadsListsAndRemoves) {
  PosixFileSystem files;
  const std::string directory = testing::TempDir() + "/sallyport_fs_test/deep";
  ASSERT_TRUE(files.MakeDirectories(directory));
  ASSERT_TRUE(WriteFileAtomically(files, directory + "/f", AsBytes("content")));

  EXPECT_EQ(ToString(*ReadFile(files, directory + "/f", 100)), "content");
  EXPECT_EQ(*files.List(directory), std::vector<std::string>{"f"});
  EXPECT_TRUE(files.Remove(directory + "/f"));
  EXPECT_EQ(ReadFile(files, directory + "/f", 1).error().reason, Reason::kNotFound);
}

}  // namespace
}  // namespace sallyport
