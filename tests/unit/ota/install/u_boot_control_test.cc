#include "ota/install/u_boot_control.h"

#include "tests/fakes/memory_file_system.h"

namespace sallyport::ota {
namespace {

constexpr size_t kSize = 1024;
constexpr size_t kHeader = 5;

std::string_view RuleOf(ByteView copy) {
  const auto parsed = UBootEnvironment::Parse(copy);
  return parsed ? "parsed" : parsed.error().name();
}

UBootEnvironment Environment(const std::vector<std::pair<std::string, std::string>>& variables) {
  UBootEnvironment out;
  for (const auto& [name, value] : variables) out.Set(name, value);
  return out;
}

TEST(UBootEnvironment, HasTheBytesThatTheDebianToolWrites) {
  UBootEnvironment environment = Environment({{"a", "1"}, {"b", "2"}, {"x", "y"}});
  environment.flags = 1;

  const Bytes copy = *environment.Encode(4096);

  // fw_setenv of libubootenv 0.3.2, a file of two copies of 4096 bytes.
  EXPECT_EQ(HexEncode(ByteView(copy).first(18)), "7adfd6bb01613d3100623d3200783d790000");
  EXPECT_EQ(*UBootEnvironment::Parse(copy), environment);
}

TEST(UBootEnvironment, KeepsWhatIsNotOurs) {
  UBootEnvironment environment =
      Environment({{"bootcmd", "run x; a=b"}, {"boot_slot", "a"}, {"z", ""}});
  const std::vector<std::string> before = environment.texts();

  environment.Set("boot_slot", "b");

  EXPECT_EQ(environment.texts()[0], before[0]);
  EXPECT_EQ(environment.texts()[1], "boot_slot=b");
  EXPECT_EQ(environment.texts()[2], before[2]);
  EXPECT_EQ(environment.Get("bootcmd"), "run x; a=b");
  EXPECT_EQ(environment.Get("z"), "");
  EXPECT_EQ(environment.Get("boot"), std::nullopt);
}

TEST(UBootEnvironment, RefusesEveryFlippedBitAndEveryTruncation) {
  const Bytes copy = *Environment({{"boot_slot", "a"}}).Encode(64);
  for (size_t size = 0; size < copy.size(); ++size)
    EXPECT_NE(RuleOf(ByteView(copy).first(size)), "parsed") << size;
  for (size_t bit = 0; bit < 8 * copy.size(); ++bit) {
    if (bit / 8 == kHeader - 1) continue;  // the flags are not under the checksum
    Bytes flipped = copy;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_EQ(RuleOf(flipped), "uboot.crc") << bit;
  }
  EXPECT_EQ(RuleOf(ByteView(copy).first(kHeader)), "uboot.size");
}

// Sealed puts the right checksum before any data.
Bytes Sealed(const std::string& data) {
  uint32_t crc = UINT32_MAX;
  for (const char c : data) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
  }
  return ByteWriter().LittleU32(~crc).U8(0).Raw(AsBytes(data)).bytes();
}

TEST(UBootEnvironment, RefusesDataThatIsNoListOfVariables) {
  using namespace std::string_literals;
  EXPECT_EQ(RuleOf(Sealed("a=1\0\0"s)), "parsed");
  EXPECT_EQ(RuleOf(Sealed("a=1\0\0rest"s)), "parsed");
  EXPECT_EQ(RuleOf(Sealed("a\0\0"s)), "uboot.variable");
  EXPECT_EQ(RuleOf(Sealed("=1\0\0"s)), "uboot.variable");
  EXPECT_EQ(RuleOf(Sealed("a=1\0a=2\0\0"s)), "uboot.variable");
  EXPECT_EQ(RuleOf(Sealed("a=1"s)), "uboot.variable");
  EXPECT_EQ(RuleOf(Sealed("a=1\0"s)), "uboot.variable");
}

TEST(UBootEnvironment, SaysWhenItIsFull) {
  const UBootEnvironment environment = Environment({{"a", std::string(100, 'x')}});
  const size_t needed = kHeader + 103 + 1;
  EXPECT_TRUE(environment.Encode(needed));
  EXPECT_EQ(environment.Encode(needed - 1).error().rule, "uboot.full");
}

TEST(UBootEnvironment, CountsWritesAcrossTheWrap) {
  EXPECT_TRUE(IsAhead(2, 1));
  EXPECT_FALSE(IsAhead(1, 2));
  EXPECT_TRUE(IsAhead(0, 255));
  EXPECT_FALSE(IsAhead(255, 0));
  EXPECT_FALSE(IsAhead(7, 7)) << "the first copy wins";
}

TEST(FwEnvConfig, ReadsTwoCopies) {
  const auto copies = ParseFwEnvConfig(
      "# device offset size sector\n\n/dev/mmcblk0 0x400000 0x20000\n/dev/mmcblk0\t4325376 131072 "
      "0x200 # second\n");
  ASSERT_TRUE(copies) << copies.error().ToString();
  EXPECT_EQ((*copies)[0], (UBootCopy{"/dev/mmcblk0", 0x400000, 0x20000}));
  EXPECT_EQ((*copies)[1], (UBootCopy{"/dev/mmcblk0", 0x420000, 0x20000}));
}

TEST(FwEnvConfig, RefusesWhatCouldLoseTheEnvironment) {
  for (const char* text :
       {"", "/d 0x0 0x1000\n", "/d 0x0 0x1000\n/d 0x1000 0x1000\n/d 0x2000 0x1000\n",
        "/d 0x0 0x1000\n/d 0x0 0x1000\n",     // the same place
        "/d 0x0 0x1000\n/d 0x800 0x1000\n",   // overlapping
        "/d 0x0 0x1000\n/d 0x1000 0x2000\n",  // of different sizes
        "/d 0x0 0x1000\n/d 0x1080 0x1000\n",  // no sector boundary
        "/d 0x0 0x100\n/d 0x1000 0x100\n",    // two copies could share a sector
        "/d 0x0\n/d 0x1000 0x1000\n", "/d x 0x1000\n/d 0x1000 0x1000\n",
        "/d -1 0x1000\n/d 0x1000 0x1000\n", "/d 0x0 0x1000z\n/d 0x1000 0x1000\n",
        "/d 0x7ffffffffffffe00 0x1000\n/d 0x1000 0x1000\n", "/d 0x0 0x0\n/d 0x1000 0x0\n"}) {
    const auto copies = ParseFwEnvConfig(text);
    ASSERT_FALSE(copies) << text;
    EXPECT_EQ(copies.error().rule, "uboot.config");
  }
}

class UBootControlTest : public ::testing::Test {
 protected:
  UBootControlTest() {
    files_.Plant("env", Bytes(2 * kSize, 0xff));
    Store(0, Environment({{"altbootcmd", "run back"}, {"boot_slot", "a"}, {"site", "x"}}));
    files_.Plant("proc/cmdline", AsBytes("quiet sallyport.slot=a"));
  }
  void Store(size_t copy, UBootEnvironment environment, uint8_t flags = 0) {
    environment.flags = flags;
    const auto file = *files_.Open("env", OpenMode::kReadWrite);
    ASSERT_TRUE(file->WriteAt(copy * kSize, *environment.Encode(kSize)));
  }
  void Damage(size_t copy) {
    const auto file = *files_.Open("env", OpenMode::kReadWrite);
    ASSERT_TRUE(file->WriteAt(copy * kSize + kHeader, Bytes{0xff}));
  }
  Bytes Copy(size_t copy) {
    const Bytes all = *ReadFile(files_, "env", 2 * kSize);
    return ToBytes(ByteView(all).subspan(copy * kSize, kSize));
  }
  std::string Value(size_t copy, const char* name) {
    return std::string(UBootEnvironment::Parse(Copy(copy))->Get(name).value_or("-"));
  }

  MemoryFileSystem files_;
  UBootControl boot_{files_,
                     {UBootCopy{"env", 0, kSize}, UBootCopy{"env", kSize, kSize}},
                     KernelSlot(files_, {"", "", "proc/cmdline"})};
};

TEST_F(UBootControlTest, WritesTheCopyThatIsNotInUse) {
  const Bytes first = Copy(0);
  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));

  EXPECT_EQ(Copy(0), first);
  EXPECT_EQ(Value(1, "boot_slot"), "b");
  EXPECT_EQ(Value(1, "upgrade_available"), "1");
  EXPECT_EQ(Value(1, "bootcount"), "0");
  EXPECT_EQ(Value(1, "bootlimit"), "1");
  EXPECT_EQ(Value(1, "site"), "x");
  EXPECT_EQ(*boot_.NextBoot(), Slot::kB);

  const Bytes second = Copy(1);
  ASSERT_TRUE(boot_.MakeDefault(Slot::kB));
  EXPECT_EQ(Copy(1), second);
  EXPECT_EQ(Value(0, "upgrade_available"), "0");
  EXPECT_EQ(*boot_.NextBoot(), std::nullopt);
}

TEST_F(UBootControlTest, WritesNothingWhenNothingChanges) {
  ASSERT_TRUE(boot_.Disarm(Slot::kB));
  const Bytes before = *ReadFile(files_, "env", 2 * kSize);
  ASSERT_TRUE(boot_.Disarm(Slot::kB));
  EXPECT_EQ(*ReadFile(files_, "env", 2 * kSize), before);
}

TEST_F(UBootControlTest, UsesTheCopyThatIsWholeAndRepairsTheOther) {
  Store(1, Environment({{"boot_slot", "b"}}), 1);
  Damage(1);
  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));
  EXPECT_EQ(Value(1, "site"), "x");
  EXPECT_EQ(Value(0, "boot_slot"), "a");
}

TEST_F(UBootControlTest, RefusesTwoDamagedCopies) {
  Damage(0);
  EXPECT_EQ(boot_.ArmOnce(Slot::kB).error().rule, "uboot.both-damaged");
  EXPECT_EQ(boot_.Check().error().rule, "uboot.both-damaged");
}

TEST_F(UBootControlTest, TakesTheTrialForSpentOnceUBootHasCountedIt) {
  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));
  UBootEnvironment counted = *UBootEnvironment::Parse(Copy(1));
  counted.Set("bootcount", "1");
  Store(0, counted, 2);
  EXPECT_EQ(*boot_.NextBoot(), std::nullopt);
}

TEST_F(UBootControlTest, ChecksThatAFailedTrialWouldGoBack) {
  ASSERT_TRUE(boot_.Check());
  Store(0, Environment({{"boot_slot", "a"}}));
  EXPECT_EQ(boot_.Check().error().rule, "uboot.no-fallback");
  Store(0, Environment({{"altbootcmd", "x"}, {"boot_slot", "c"}}));
  EXPECT_EQ(boot_.Check().error().rule, "uboot.slot");
  Store(0, Environment({{"altbootcmd", "x"}, {"boot_slot", "a"}, {"fill", std::string(950, '.')}}));
  EXPECT_EQ(boot_.Check().error().rule, "uboot.full") << "found before the first byte is written";
}

class KernelSlotTest : public ::testing::Test {
 protected:
  void CommandLine(const std::string& text) { files_.Plant("cmdline", AsBytes(text)); }
  void Device(const std::string& id, const std::string& name) {
    files_.Plant("dev/" + id + "/uevent", AsBytes("MAJOR=1\nDEVNAME=" + name + "\nDEVTYPE=disk\n"));
  }
  void Root(const std::string& id) {
    files_.Plant("mounts", AsBytes("22 1 0:5 / /proc rw - proc proc rw\n23 1 " + id +
                                   " / / ro,relatime shared:1 - erofs /dev/root ro\n"));
  }
  std::string Found() {
    const auto slot = KernelSlot(files_, {"sda2", "sda3", "cmdline", "mounts", "dev"}).Find();
    return slot ? std::string(SlotName(*slot)) : std::string(slot.error().name());
  }
  MemoryFileSystem files_;
};

TEST_F(KernelSlotTest, IsTheWordOfTheCommandLine) {
  CommandLine("root=/dev/sda2 sallyport.slot=b quiet\n");
  EXPECT_EQ(Found(), "B");
  CommandLine("sallyport.slot=a");
  EXPECT_EQ(Found(), "A");
  for (const char* line :
       {"sallyport.slot=c", "sallyport.slot=", "sallyport.slot=ab",
        "sallyport.slot=a sallyport.slot=a", "sallyport.slot=a sallyport.slot=b"}) {
    CommandLine(line);
    EXPECT_EQ(Found(), "slot.command-line") << line;
  }
}

TEST_F(KernelSlotTest, IsTheDeviceOfTheRootFileSystemWithoutTheWord) {
  CommandLine("quiet nosallyport.slot=a");
  Device("8:3", "sda3");
  Root("8:3");
  EXPECT_EQ(Found(), "B");
  Device("253:0", "dm-0");
  Root("253:0");
  EXPECT_EQ(Found(), "slot.unknown");
  files_.Plant("dev/253:0/slaves/sda2/dev", AsBytes("8:2\n"));
  EXPECT_EQ(Found(), "slot.unknown");
  // sysfs shows a link there; the model needs the name itself.
  files_.Plant("dev/253:0/slaves/sda2", {});
  Device("8:2", "sda2");
  EXPECT_EQ(Found(), "A");
  files_.Plant("dev/253:0/slaves/sda9", {});
  EXPECT_EQ(Found(), "slot.unknown") << "two devices below";
  Root("9:9");
  EXPECT_EQ(Found(), "slot.unknown");
}

}  // namespace
}  // namespace sallyport::ota
