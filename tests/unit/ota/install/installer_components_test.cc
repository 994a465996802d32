// Image, kernel, application bundle and firmware of one release: all of them or none.
#include "ota/install/installer.h"
#include "tests/fakes/components_source.h"
#include "tests/fakes/install_plan_for_test.h"
#include "tests/fakes/update_world.h"

namespace sallyport::ota {
namespace {

constexpr const char* kClass = "00112233-4455-6677-8899-aabbccddeeff";
const TestRelease kOld = MakeTestRelease("1.0.0", 1);
const TestRelease kNew = MakeTestRelease("2.0.0", 2);

class InstallerComponentsTest : public ::testing::Test {
 protected:
  InstallerComponentsTest() {
    world_.AddRelease(kNew);
    EXPECT_TRUE(world_.files().MakeDirectories("esrt/entry0"));
    Store("esrt/entry0/fw_class", kClass);
    Store("esrt/entry0/lowest_supported_fw_version", "1");
    Store("esrt/entry0/fw_version", "7");
    EXPECT_TRUE(EfiVariableStore(world_.files(), "fwvars", kEfiGlobalGuid)
                    .Write("OsIndicationsSupported", ByteWriter().LittleU64(4).bytes()));
  }
  void Store(const std::string& path, std::string_view text) {
    EXPECT_TRUE(WriteFileAtomically(world_.files(), path, AsBytes(text)));
  }
  InstallPlan Plan() {
    ComponentsSource components;
    InstallFacts facts = kNew.plan.facts();
    facts.components = {components.Add("app", app_),
                        components.Add("bios", Bytes(900, 3), FirmwareVersion{kClass, 8})};
    for (auto& [path, content] : components.served) source_.Add(path, content);
    return InstallPlanForTest::Make(std::move(facts));
  }
  std::string_view Name(const Result<Unit>& result) {
    return result ? "ok" : result.error().name();
  }
  std::string_view State() { return StateName(installer_.Record()->state); }
  bool Exists(const std::string& path) {
    return world_.files().Open(path, OpenMode::kRead).has_value();
  }
  // Boot arms the new slot and starts it.
  void Boot() {
    ASSERT_TRUE(installer_.Arm());
    ASSERT_EQ(world_.PowerOn(), Slot::kB);
    ASSERT_TRUE(installer_.BeginTrial());
  }

  const Bytes app_ = Bytes(3000, 9);
  UpdateWorld world_{kOld};
  FirmwareUpdate firmware_{world_.files(), {"esp", "fwvars", "esrt"}};
  Installer installer_ = world_.MakeInstaller(nullptr, &firmware_);
  ReleaseSource source_{kNew};
};

TEST_F(InstallerComponentsTest, ArriveWithTheImageAndAreCommittedWithIt) {
  const InstallPlan plan = Plan();
  ASSERT_EQ(Name(installer_.Install(plan, source_)), "ok");
  EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNew));
  EXPECT_EQ(*ReadFile(world_.files(), "apps/b", 1 << 20), app_);
  EXPECT_FALSE(Exists("apps/a")) << "the running slot keeps what it has";
  EXPECT_FALSE(Exists("esp/EFI/UpdateCapsule/sallyport-bios.cap")) << "not before the trial";

  Boot();
  EXPECT_TRUE(Exists("esp/EFI/UpdateCapsule/sallyport-bios.cap"));
  Store("esrt/entry0/fw_version", "8");
  EXPECT_EQ(Name(installer_.Commit(&plan)), "ok");
  EXPECT_FALSE(Exists("esp/EFI/UpdateCapsule/sallyport-bios.cap"));
  EXPECT_EQ(State(), "COMMITTED");
}

TEST_F(InstallerComponentsTest, DoNotCommitWithoutTheFirmware) {
  const InstallPlan plan = Plan();
  ASSERT_EQ(Name(installer_.Install(plan, source_)), "ok");
  Boot();

  EXPECT_EQ(Name(installer_.Commit(&plan)), "install.firmware-version");
  EXPECT_EQ(State(), "TRIAL");
  ASSERT_TRUE(installer_.RollBack());
  EXPECT_FALSE(Exists("esp/EFI/UpdateCapsule/sallyport-bios.cap"));
  EXPECT_EQ(world_.PowerOn(), Slot::kA);
}

TEST_F(InstallerComponentsTest, ABadComponentKeepsTheWholeReleaseOut) {
  const InstallPlan plan = Plan();
  source_.File("components/app")[5] ^= 1;
  EXPECT_EQ(Name(installer_.Install(plan, source_)), "install.component-digest");

  EXPECT_EQ(State(), "FAILED");
  EXPECT_FALSE(installer_.Arm());
  EXPECT_EQ(world_.PowerOn(), Slot::kA);
}

TEST_F(InstallerComponentsTest, AreRefusedBeforeTheFirstWriteWhereTheyCannotGo) {
  InstallPlan plan = Plan();
  Store("esrt/entry0/fw_class", "ffffffff-4455-6677-8899-aabbccddeeff");
  EXPECT_EQ(Name(installer_.Install(plan, source_)), "install.firmware-class");
  EXPECT_EQ(source_.served(), 0u);
  Installer without = world_.MakeInstaller();
  EXPECT_EQ(Name(without.Install(plan, source_)), "install.capsule-support");
  EXPECT_EQ(world_.BootOrder(), "AB") << "untouched";
}

TEST_F(InstallerComponentsTest, AReleaseThatSupersedesAnArmedOneTakesItsCapsuleBackFirst) {
  const InstallPlan plan = Plan();
  ASSERT_EQ(Name(installer_.Install(plan, source_)), "ok");
  ASSERT_TRUE(installer_.Arm());
  const TestRelease other = MakeTestRelease("3.0.0", 3);
  ReleaseSource offline(other);
  offline.BreakOffAfter(0);

  EXPECT_FALSE(installer_.Install(other.plan, offline));
  EXPECT_EQ(State(), "WRITING");
  EXPECT_FALSE(Exists("esp/EFI/UpdateCapsule/sallyport-bios.cap"));
}

TEST_F(InstallerComponentsTest, AnAbandonedUpdateTakesItsCapsuleBack) {
  const InstallPlan plan = Plan();
  ASSERT_EQ(Name(installer_.Install(plan, source_)), "ok");
  ASSERT_TRUE(installer_.Arm());
  ASSERT_TRUE(installer_.Abandon());

  EXPECT_FALSE(Exists("esp/EFI/UpdateCapsule/sallyport-bios.cap"));
  EXPECT_FALSE(Exists("esp/EFI/sallyport/firmware"));
}

}  // namespace
}  // namespace sallyport::ota
