// The environments of U-Boot and GRUB against the tools of Debian 12 that also write them
// (libubootenv-tool, grub-common), in both directions.
#include <array>
#include <cstdlib>
#include <filesystem>

#include "ota/install/efi_variables.h"
#include "ota/install/grub_boot_control.h"
#include "ota/install/u_boot_control.h"

namespace sallyport::ota {
namespace {

constexpr size_t kSize = 4096;

class BootToolsTest : public ::testing::Test {
 protected:
  BootToolsTest() {
    char name[] = "/tmp/sp-boot-XXXXXX";
    dir_ = ::mkdtemp(name);
    Write("cmdline", "sallyport.slot=a");
  }
  ~BootToolsTest() override { std::filesystem::remove_all(dir_); }
  std::string At(const std::string& name) const { return dir_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(files_, At(name), AsBytes(text)));
  }
  // Run returns what the command prints; it fails the test when the command fails.
  std::string Run(const std::string& command) {
    std::string out;
    FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
    std::array<char, 512> part{};
    while (std::fgets(part.data(), part.size(), pipe) != nullptr) out += part.data();
    EXPECT_EQ(::pclose(pipe), 0) << command << ": " << out;
    return out;
  }
  KernelSlot Running() { return KernelSlot(files_, {"", "", At("cmdline")}); }

  PosixFileSystem files_;
  std::string dir_;
};

// Where the file system of /tmp has the flag; elsewhere this is an ordinary write.
TEST_F(BootToolsTest, ImmutableVariablesAreWrittenAllTheSame) {
  EfiVariableStore variables(files_, dir_, kLoaderGuid);
  const auto lock = [&] {
    Run("chattr +i " + At("LoaderEntryDefault-" + std::string(kLoaderGuid)) + " || true");
  };
  ASSERT_TRUE(variables.Write("LoaderEntryDefault", Bytes{1, 0}));
  for (const Bytes& data : {Bytes{2, 0}, Bytes{3, 0, 0, 0}}) {
    lock();
    EXPECT_TRUE(variables.CheckWritable("LoaderEntryDefault"));
    lock();
    ASSERT_TRUE(variables.Write("LoaderEntryDefault", data));
    EXPECT_EQ(*variables.Read("LoaderEntryDefault"), data);
  }
  lock();
  ASSERT_TRUE(variables.Delete("LoaderEntryDefault"));
  EXPECT_EQ(*variables.Read("LoaderEntryDefault"), std::nullopt);
}

class UBootToolsTest : public BootToolsTest {
 protected:
  UBootToolsTest() {
    Write("env", std::string(3 * kSize, '\xff'));
    Write("fw_env.config", At("env") + " 0x0 0x1000\n" + At("env") + " 0x2000 0x1000\n");
    Write("defaults", "altbootcmd=run back\nboot_slot=a\nsite=north\nempty=\n");
    Run("fw_setenv -c " + At("fw_env.config") + " -f " + At("defaults") + " first yes");
    boot_.emplace(files_, *ParseFwEnvConfig(AsText(*ReadFile(files_, At("fw_env.config"), 4096))),
                  Running());
  }
  void Set(const std::string& name, const std::string& value) {
    Run("fw_setenv -c " + At("fw_env.config") + " " + name + " '" + value + "'");
  }
  std::string Get(const std::string& name) {
    std::string out = Run("fw_printenv -n -c " + At("fw_env.config") + " " + name);
    while (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
  }
  std::optional<UBootControl> boot_;
};

TEST_F(UBootToolsTest, ReadWhatTheOtherWrote) {
  EXPECT_TRUE(boot_->Check());
  ASSERT_TRUE(boot_->ArmOnce(Slot::kB));
  EXPECT_EQ(Get("boot_slot"), "b");
  EXPECT_EQ(Get("upgrade_available"), "1");
  EXPECT_EQ(Get("bootcount"), "0");
  EXPECT_EQ(Get("bootlimit"), "1");
  EXPECT_EQ(Get("site"), "north");
  EXPECT_EQ(Get("first"), "yes");

  Set("bootcount", "1");
  EXPECT_EQ(*boot_->NextBoot(), std::nullopt);
  Set("note", "a value with = and spaces");
  ASSERT_TRUE(boot_->MakeDefault(Slot::kB));
  EXPECT_EQ(Get("note"), "a value with = and spaces");
  EXPECT_EQ(Get("upgrade_available"), "0");
}

TEST_F(UBootToolsTest, AgreeOnTheCopyInUseAcrossTheWrapOfTheCount) {
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(boot_->MakeDefault(i % 2 == 0 ? Slot::kB : Slot::kA));
    const bool look = i % 16 == 0 || (i > 245 && i < 262);
    if (look) {
      EXPECT_EQ(Get("boot_slot"), i % 2 == 0 ? "b" : "a") << i;
    }
  }
  Set("site", "south");
  ASSERT_TRUE(boot_->MakeDefault(Slot::kB));
  EXPECT_EQ(Get("site"), "south");
  EXPECT_EQ(Get("boot_slot"), "b");
}

TEST_F(UBootToolsTest, AgreeOnTheCopyThatIsWhole) {
  ASSERT_TRUE(boot_->ArmOnce(Slot::kB));
  ASSERT_TRUE(boot_->MakeDefault(Slot::kB));
  for (const uint64_t copy : {0x0, 0x2000}) {
    const Bytes before = *ReadFile(files_, At("env"), 4 * kSize);
    const auto file = *files_.Open(At("env"), OpenMode::kReadWrite);
    ASSERT_TRUE(file->WriteAt(copy + 100, Bytes(300, 0x5a)));
    EXPECT_EQ(boot_->NextBoot()->has_value(), Get("upgrade_available") == "1") << copy;
    ASSERT_TRUE(file->WriteAt(0, before));
  }
}

class GrubToolsTest : public BootToolsTest {
 protected:
  GrubToolsTest() { Run("grub-editenv " + At("grubenv") + " create"); }
  std::string List() { return Run("grub-editenv " + At("grubenv") + " list"); }
  GrubBootControl boot_{files_, At("grubenv"), Running()};
};

TEST_F(GrubToolsTest, ReadWhatTheOtherWrote) {
  Run("grub-editenv " + At("grubenv") + " set saved_entry=gnulinux 'note=back\\slash and = sign'");
  // docs/updates.md.
  Run("grub-editenv " + At("grubenv") + " set 'ORDER=A B' A_OK=1 A_TRY=0 B_OK=0 B_TRY=0");
  EXPECT_TRUE(boot_.Check());
  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));
  EXPECT_EQ(
      List(),
      "ORDER=A B\nA_OK=1\nA_TRY=0\nB_OK=0\nB_TRY=1\nsaved_entry=gnulinux\nnote=back\\slash and "
      "= sign\n");
  // What the script in grub.cfg does before it boots.
  Run("grub-editenv " + At("grubenv") + " set B_TRY=0");
  EXPECT_EQ(*boot_.NextBoot(), std::nullopt);
  Run("grub-editenv " + At("grubenv") + " unset saved_entry");
  ASSERT_TRUE(boot_.MakeDefault(Slot::kB));
  EXPECT_EQ(List(), "ORDER=B A\nA_OK=1\nA_TRY=0\nB_OK=1\nB_TRY=0\nnote=back\\slash and = sign\n");
}

TEST_F(GrubToolsTest, CanRunTheDocumentedScript) {
  const std::string page =
      ToString(*ReadFile(files_, SALLYPORT_SOURCE_DIR "/docs/updates.md", 1 << 20));
  const size_t start = page.find("load_env\nset slot=");
  ASSERT_NE(start, page.npos);
  Write("grub.cfg", page.substr(start, page.find("```", start) - start));
  Run("grub-script-check " + At("grub.cfg"));
}

TEST_F(GrubToolsTest, HaveTheSameBytes) {
  Run("grub-editenv " + At("grubenv") + " set ORDER='A B' A_OK=1 A_TRY=0 B_OK=0 B_TRY=1 x='\\'");
  const Bytes theirs = *ReadFile(files_, At("grubenv"), kGrubBlockSize);
  const GrubEnvironment parsed = *GrubEnvironment::Parse(theirs);
  EXPECT_EQ(*parsed.Encode(), theirs);
  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));
  EXPECT_EQ(*ReadFile(files_, At("grubenv"), kGrubBlockSize), theirs);
}

}  // namespace
}  // namespace sallyport::ota
