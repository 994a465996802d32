#include "ota/install/systemd_boot_control.h"

#include "tests/fakes/memory_file_system.h"

namespace sallyport::ota {
namespace {

const std::string kGuid = "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

class SystemdBootControlTest : public ::testing::Test {
 protected:
  SystemdBootControlTest() { Image("sallyport-a.efi"); }
  void Image(const std::string& name) { files_.Plant("linux/" + name, AsBytes(name)); }
  // Images lists the kernel images.
  std::string Images() {
    std::string out;
    const std::vector<std::string> names = *files_.List("linux");
    for (const std::string& name : names) out += (out.empty() ? "" : " ") + name;
    return out;
  }
  void SetText(const std::string& name, const std::string& text) {
    ByteWriter data;
    data.LittleU32(6);
    AppendUtf16(data, text);
    files_.Plant("vars/" + name + kGuid, data.bytes());
  }
  std::string Text(const std::string& name) {
    const auto bytes = ReadFile(files_, "vars/" + name + kGuid, 1000);
    if (!bytes) return "-";
    std::string out;
    for (size_t i = 4; i + 2 < bytes->size(); i += 2) out += static_cast<char>((*bytes)[i]);
    return out;
  }

  MemoryFileSystem files_;
  SystemdBootControl boot_{files_, {"vars", "linux"}};
};

TEST_F(SystemdBootControlTest, KnowsTheRunningSlotWithAndWithoutTries) {
  EXPECT_EQ(boot_.RunningSlot().error().rule, "systemd-boot.not-used");
  for (const char* id : {"sallyport-b.efi", "sallyport-b+2-0.efi", "sallyport-b+1.efi"}) {
    SetText("LoaderEntrySelected", id);
    EXPECT_EQ(*boot_.RunningSlot(), Slot::kB) << id;
  }
  SetText("LoaderEntrySelected", "sallyport-a.efi");
  EXPECT_EQ(*boot_.RunningSlot(), Slot::kA);
  for (const char* id : {"debian.efi", "sallyport-c.efi", "sallyport-b", "sallyport-b+.efi",
                         "sallyport-b+1-.efi", "sallyport-b+-1.efi", "sallyport-b+x.efi",
                         "sallyport-backup.efi", "my-sallyport-b.efi", ".efi"}) {
    SetText("LoaderEntrySelected", id);
    EXPECT_EQ(boot_.RunningSlot().error().rule, "systemd-boot.not-used") << id;
  }
  files_.Plant("vars/LoaderEntrySelected" + kGuid, Bytes{6, 0, 0, 0, 'a'});
  EXPECT_EQ(boot_.RunningSlot().error().rule, "efi.variable");
}

TEST_F(SystemdBootControlTest, GivesANewImageItsTries) {
  EXPECT_EQ(boot_.NewEntry("linux/sallyport-b.efi"), "linux/sallyport-b+2-0.efi");
  Image("sallyport-b+0-2.efi");
  Image("sallyport-b.efi");
  Image("sallyport-backup.efi");
  EXPECT_EQ(*boot_.Entries("linux/sallyport-b.efi"),
            (std::vector<std::string>{"linux/sallyport-b+0-2.efi", "linux/sallyport-b.efi"}));
}

TEST_F(SystemdBootControlTest, GoesThroughAnUpdate) {
  Image("sallyport-b+2-0.efi");
  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));
  EXPECT_EQ(Text("LoaderEntryOneShot"), "sallyport-b[+.]*");
  EXPECT_EQ(*boot_.NextBoot(), Slot::kB);

  ASSERT_TRUE(files_.Remove("linux/sallyport-b+2-0.efi"));
  Image("sallyport-b+1-1.efi");  // what the boot loader makes of it
  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));
  EXPECT_EQ(Images(), "sallyport-a.efi sallyport-b+2-0.efi") << "arming gives the tries back";

  ASSERT_TRUE(boot_.MakeDefault(Slot::kB));
  EXPECT_EQ(Images(), "sallyport-a.efi sallyport-b.efi") << "blessed";
  EXPECT_EQ(Text("LoaderEntryDefault"), "sallyport-b[+.]*");

  ASSERT_TRUE(boot_.Disarm(Slot::kB));
  EXPECT_EQ(Images(), "sallyport-a.efi sallyport-b+0-2.efi") << "bad, whatever the variables say";
  EXPECT_EQ(Text("LoaderEntryDefault"), "sallyport-a[+.]*");
  EXPECT_EQ(Text("LoaderEntryOneShot"), "-");
  EXPECT_EQ(*boot_.NextBoot(), std::nullopt);
}

// systemd issue 33504: with both names there, blessing did nothing and a good boot counted as bad.
TEST_F(SystemdBootControlTest, LeavesOneNameOfASlotThatHasTwo) {
  Image("sallyport-b.efi");
  Image("sallyport-b+1-1.efi");
  ASSERT_TRUE(boot_.MakeDefault(Slot::kB));
  EXPECT_EQ(Images(), "sallyport-a.efi sallyport-b.efi");
}

TEST_F(SystemdBootControlTest, RefusesASlotWithoutAKernelImage) {
  EXPECT_EQ(boot_.ArmOnce(Slot::kB).error().rule, "systemd-boot.no-entry");
  EXPECT_EQ(boot_.MakeDefault(Slot::kB).error().rule, "systemd-boot.no-entry");
  EXPECT_EQ(boot_.Disarm(Slot::kA).error().rule, "systemd-boot.no-entry") << "the other one";
  SetText("LoaderEntrySelected", "sallyport-a.efi");
  EXPECT_TRUE(boot_.Check()) << "the slot to be written may be empty";
  ASSERT_TRUE(files_.Remove("linux/sallyport-a.efi"));
  EXPECT_EQ(boot_.Check().error().rule, "systemd-boot.no-entry");
}

}  // namespace
}  // namespace sallyport::ota
