#include "ota/install/component_files.h"

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "tests/fakes/components_source.h"
#include "tests/fakes/forwarding_file_system.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::ota {
namespace {

struct TemporaryFolder {
  TemporaryFolder() {
    char name[] = "/tmp/sp-components-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::string path;
};

// RestlessFileSystem lets something happen before the second time that one file is read.
class RestlessFileSystem final : public ForwardingFileSystem {
 public:
  RestlessFileSystem(FileSystem& files, std::string path, std::function<void()> then)
      : ForwardingFileSystem(files), path_(std::move(path)), then_(std::move(then)) {}
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    if (path == path_ && mode == OpenMode::kRead && ++reads_ == 2) then_();
    return ForwardingFileSystem::Open(path, mode);
  }

 private:
  const std::string path_;
  const std::function<void()> then_;
  int reads_ = 0;
};

class ComponentFilesTest : public ::testing::Test {
 protected:
  std::string_view Install(const InstallFacts& facts) {
    const auto done = InstallComponentFiles(files_, places_, facts, Slot::kB, source_);
    return done ? "ok" : done.error().name();
  }
  std::string_view Check(const InstallFacts& facts) {
    const auto done = CheckComponentFiles(files_, places_, facts, Slot::kB);
    return done ? "ok" : done.error().name();
  }
  Bytes Content(const std::string& path) {
    const auto content = ReadFile(files_, path, 1 << 20);
    return content ? *content : Bytes();
  }

  MemoryFileSystem files_;
  ComponentPlaces places_ = {{"app", {"/apps/a.img", "/apps/b.img"}}};
  ComponentsSource source_;
  const Bytes app_ = Bytes(5000, 7);
};

TEST_F(ComponentFilesTest, GoToThePlaceOfTheTargetSlotAndSurviveAPowerCut) {
  const InstallFacts facts = FactsOf({source_.Add("app", app_)});
  ASSERT_EQ(Check(facts), "ok");
  ASSERT_EQ(Install(facts), "ok");
  files_.Restart();

  EXPECT_EQ(Content("/apps/b.img"), app_);
  EXPECT_TRUE(Content("/apps/a.img").empty());
}

TEST_F(ComponentFilesTest, AreNotDownloadedAgainWhenOneOfTheSlotsHasThem) {
  const InstallFacts facts = FactsOf({source_.Add("app", app_)});
  ASSERT_TRUE(files_.MakeDirectories("/apps"));
  ASSERT_TRUE(WriteFileAtomically(files_, "/apps/a.img", app_));
  ASSERT_EQ(Install(facts), "ok");
  ASSERT_EQ(Install(facts), "ok");

  EXPECT_EQ(source_.fetches, 0u);
  EXPECT_EQ(Content("/apps/b.img"), app_);
}

TEST_F(ComponentFilesTest, AreFetchedWhenTheOtherSlotsFileChangesUnderTheCopy) {
  const InstallFacts facts = FactsOf({source_.Add("app", app_)});
  ASSERT_TRUE(files_.MakeDirectories("/apps"));
  const auto write = [this](size_t size) {
    ASSERT_TRUE(WriteFileAtomically(files_, "/apps/a.img", Bytes(size, 8)));
  };
  unsigned fetched = 0;
  for (const std::function<void()>& happens : std::vector<std::function<void()>>{
           [&] { write(app_.size()); }, [&] { write(100); }, [&] { write(app_.size() + 1); },
           [&] { ASSERT_TRUE(files_.Remove("/apps/a.img")); }}) {
    ASSERT_TRUE(WriteFileAtomically(files_, "/apps/a.img", app_));
    RestlessFileSystem restless(files_, "/apps/a.img", happens);
    const auto done = InstallComponentFiles(restless, places_, facts, Slot::kB, source_);
    ASSERT_TRUE(done) << done.error().ToString();
    EXPECT_EQ(source_.fetches, ++fetched);
    EXPECT_EQ(Content("/apps/b.img"), app_);
    ASSERT_TRUE(files_.Remove("/apps/b.img"));
  }
}

TEST_F(ComponentFilesTest, CheckMakesNoFolder) {
  TemporaryFolder folder;
  PosixFileSystem disk;
  const std::string place = folder.path + "/not/there/b.img";
  const ComponentPlaces places = {{"app", {folder.path + "/a.img", place}}};
  const InstallFacts facts = FactsOf({source_.Add("app", app_)});
  EXPECT_TRUE(CheckComponentFiles(disk, places, facts, Slot::kB));
  EXPECT_FALSE(disk.List(folder.path + "/not"));
}

TEST_F(ComponentFilesTest, RefusesOtherBytesThanTheSignedOnes) {
  const InstallFacts facts = FactsOf({source_.Add("app", app_)});
  source_.served.begin()->second[4000] ^= 1;
  EXPECT_EQ(Install(facts), "install.component-digest");
  source_.served.begin()->second.resize(4000);
  EXPECT_EQ(Install(facts), "install.source-length");
  source_.served.begin()->second.resize(9000);
  source_.surplus = 1;
  EXPECT_EQ(Install(facts), "install.source-length");
  EXPECT_TRUE(Content("/apps/b.img").empty());
}

TEST_F(ComponentFilesTest, RefusesWhatHasNoPlaceOrNoRoomBeforeAnyChange) {
  EXPECT_EQ(Check(FactsOf({source_.Add("maps", app_)})), "install.component");
  EXPECT_EQ(Install(FactsOf({source_.Add("maps", app_)})), "install.component");
  const InstallFacts facts = FactsOf({source_.Add("app", app_)});
  files_.LimitBytes(4999);
  EXPECT_EQ(Check(facts), "install.component-space");
  files_.LimitBytes(5000);
  EXPECT_EQ(Check(facts), "ok");
  EXPECT_EQ(source_.fetches, 0u);
}

TEST_F(ComponentFilesTest, WhatAKilledAgentLeftInMemoryIsMadeDurable) {
  const InstallFacts facts = FactsOf({source_.Add("app", app_)});
  for (uint64_t kill = 0;; ++kill) {
    files_ = MemoryFileSystem();
    ASSERT_TRUE(files_.MakeDirectories("/apps"));
    files_.CutPowerAfter(kill);
    const std::string_view done = Install(facts);
    files_.Survive("/efivars/");
    ASSERT_EQ(Install(facts), "ok");
    files_.Restart();
    ASSERT_EQ(Content("/apps/b.img"), app_) << kill;
    if (done == "ok") break;
  }
}

TEST_F(ComponentFilesTest, ACutAnywhereLeavesTheOldFileOrTheNewOne) {
  const Bytes old(3000, 1);
  const InstallFacts facts = FactsOf({source_.Add("app", app_)});
  for (const PowerLoss loss :
       {PowerLoss::kAll, PowerLoss::kOddSectors, PowerLoss::kDataOnly, PowerLoss::kNothing})
    for (uint64_t cut = 0;; ++cut) {
      MemoryFileSystem files;
      ASSERT_TRUE(files.MakeDirectories("/apps"));
      ASSERT_TRUE(WriteFileAtomically(files, "/apps/b.img", old));
      files.CutPowerAfter(cut);
      const auto done = InstallComponentFiles(files, places_, facts, Slot::kB, source_);
      files.Restart(loss);
      const Bytes held = *ReadFile(files, "/apps/b.img", 1 << 20);
      ASSERT_TRUE(held == old || held == app_) << cut;
      if (done) {
        ASSERT_EQ(held, app_);
        break;
      }
      ASSERT_TRUE(InstallComponentFiles(files, places_, facts, Slot::kB, source_));
    }
}

}  // namespace
}  // namespace sallyport::ota
