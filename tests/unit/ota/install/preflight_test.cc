#include "ota/install/preflight.h"

#include "pki/base/json.h"
#include "tests/fakes/update_world.h"

namespace sallyport::ota {
namespace {

const TestRelease kOld = MakeTestRelease("1.0.0", 1);
const TestRelease kNew = MakeTestRelease("2.0.0", 2);

class PreflightTest : public ::testing::Test {
 protected:
  PreflightTest() { world_.AddRelease(kNew); }
  std::vector<PreflightCheck> Checks() { return *installer_.Preflight(&kNew.plan.facts()); }
  // Find is the check of `resource`.
  PreflightCheck Find(const std::string& resource) {
    for (const PreflightCheck& check : Checks())
      if (check.resource == resource) return check;
    ADD_FAILURE() << resource;
    return {};
  }
  std::string RuleOf(const std::string& resource) {
    const PreflightCheck check = Find(resource);
    return check.failure ? std::string(check.failure->name()) : "ok";
  }
  // Install expects the refusal to come before anything of the target was touched.
  void ExpectInstallRefuses(std::string_view rule, std::string_view state) {
    const uint64_t before = world_.files().operations();
    ReleaseSource source(kNew);
    const auto installed = installer_.Install(kNew.plan, source);
    ASSERT_FALSE(installed);
    EXPECT_EQ(installed.error().rule, rule);
    EXPECT_NE(installed.error().detail.find(": need "), std::string::npos)
        << "resource, need, have";
    EXPECT_EQ(StateName(installer_.Record()->state), state);
    EXPECT_EQ(source.served(), 0u);
    EXPECT_LE(world_.files().operations() - before, 10u) << "the record alone";
    EXPECT_EQ(world_.BootOrder(), "AB");
  }
  void Memory(const std::string& text) { world_.files().Plant("proc/meminfo", AsBytes(text)); }
  void Mounts(const std::string& text) { world_.files().Plant("proc/mountinfo", AsBytes(text)); }
  void Supply(const std::string& name, const std::string& type, const std::string& online,
              const std::string& status = "", const std::string& capacity = "",
              const std::string& scope = "") {
    const std::string at = "power/" + name;
    world_.files().Plant(at, {});  // the folder itself, as the listing shows it
    world_.files().Plant(at + "/type", AsBytes(type + "\n"));
    world_.files().Plant(at + "/online", AsBytes(online + "\n"));
    world_.files().Plant(at + "/status", AsBytes(status + "\n"));
    world_.files().Plant(at + "/capacity", AsBytes(capacity + "\n"));
    world_.files().Plant(at + "/scope", AsBytes(scope + "\n"));
  }

  UpdateWorld world_{kOld};
  Installer installer_ = world_.MakeInstaller();
};

TEST_F(PreflightTest, PassesAndChangesNothing) {
  const uint64_t before = world_.files().operations();
  const std::vector<PreflightCheck> checks = Checks();
  EXPECT_TRUE(FirstFailure(checks)) << DescribePreflight(checks, "edge-os 2.0.0", false);
  EXPECT_EQ(checks.size(), 9u);
  EXPECT_EQ(world_.files().operations(), before);
}

TEST_F(PreflightTest, NamesResourceNeedAndHave) {
  world_.files().LimitBytes(1);
  const PreflightCheck check = Find("esp-space");
  EXPECT_EQ(check.need, std::to_string(kNew.uki.size() + kEspSlack) + " bytes");
  EXPECT_EQ(check.have, "3000 bytes") << "the old kernel image will go";
  EXPECT_EQ(check.failure->detail, "esp-space: need " + check.need + ", have " + check.have);
  EXPECT_EQ(RuleOf("esp-space"), "install.esp-space");
  EXPECT_EQ(RuleOf("state-space"), "install.record-space");
}

TEST_F(PreflightTest, ShowsEveryFailureAtOnceForPeopleAndPrograms) {
  world_.files().LimitBytes(1);
  Memory("MemAvailable: 40959 kB\n");
  const std::vector<PreflightCheck> checks = Checks();
  const std::string text = DescribePreflight(checks, "edge-os 2.0.0", false);
  EXPECT_NE(text.find("memory: need 41943040 bytes, have 41942016 bytes: install.memory\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(": install.esp-space\n"), std::string::npos);
  const JsonValue json = *ParseJson(DescribePreflight(checks, "edge-os 2.0.0", true));
  EXPECT_FALSE(JsonCursor(json).GetBool("ready")->value);
  const auto list = *JsonCursor(json).GetElements("checks");
  EXPECT_EQ(list.size(), checks.size());
  EXPECT_EQ(*list[0].GetString("resource"), "boot-loader");
  EXPECT_EQ(*list[0].GetString("verdict"), "ok");
}

TEST_F(PreflightTest, SaysThatNoReleaseIsKnown) {
  const std::vector<PreflightCheck> checks = *installer_.Preflight(nullptr);
  EXPECT_NE(DescribePreflight(checks, "", false).find("preflight.no-release"), std::string::npos);
  const JsonValue unknown = *ParseJson(DescribePreflight(checks, "", true));
  EXPECT_EQ(unknown.Find("release")->kind(), JsonValue::Kind::kNull);
  EXPECT_EQ(*unknown.Find("release_unknown")->if_string(), "preflight.no-release");
  const JsonValue known = *ParseJson(DescribePreflight(checks, "edge-os 2.0.0", true));
  EXPECT_EQ(*known.Find("release")->if_string(), "edge-os 2.0.0");
  EXPECT_EQ(*known.Find("release_unknown")->if_string(), "");
}

TEST_F(PreflightTest, LooksAtComponentsAndFirmwareAndMakesNoFolder) {
  InstallFacts facts = kNew.plan.facts();
  const Sha256Digest digest = facts.image_sha256;
  facts.components = {{"app", {"p/app", 7000, digest}, {}},
                      {"radio", {"p/radio", 7, digest}, {}},
                      {"bios", {"p/bios", 7, digest}, FirmwareVersion{"class", 17}}};
  const uint64_t before = world_.files().operations();
  const std::vector<PreflightCheck> checks = *installer_.Preflight(&facts);
  EXPECT_EQ(world_.files().operations(), before);
  ASSERT_EQ(checks.size(), 12u);
  const auto verdict = [&](size_t i) {
    return checks[i].resource + " " +
           (checks[i].failure ? std::string(checks[i].failure->name()) : "ok");
  };
  EXPECT_EQ(verdict(9), "component ok");
  EXPECT_EQ(verdict(10), "component install.component");
  EXPECT_EQ(verdict(11), "firmware install.capsule-support");
  EXPECT_NE(checks[9].need.find("app: a place for 7000 bytes"), std::string::npos);
  EXPECT_NE(checks[10].failure->detail.find("radio"), std::string::npos);
  EXPECT_NE(checks[11].need.find("version 17"), std::string::npos);
}

TEST_F(PreflightTest, NamesAComponentThatHasNoRoom) {
  InstallFacts facts = kNew.plan.facts();
  facts.components = {{"app", {"p/app", uint64_t{1} << 50, facts.image_sha256}, {}}};
  const std::vector<PreflightCheck> checks = *installer_.Preflight(&facts);
  ASSERT_TRUE(checks.back().failure);
  EXPECT_EQ(checks.back().failure->rule, "install.component-space");
}

TEST_F(PreflightTest, RefusesASlotThatIsTooSmallOrMissing) {
  ASSERT_TRUE((*world_.files().Open("slots/b", OpenMode::kCreate))->WriteAt(0, Bytes(100)));
  EXPECT_EQ(RuleOf("slot"), "install.slot-size");
  ASSERT_TRUE(world_.files().Remove("slots/b"));
  EXPECT_EQ(RuleOf("slot"), "not-found");
}

TEST_F(PreflightTest, RefusesReadOnlyMounts) {
  const std::string root = "23 1 8:2 / / rw,relatime shared:1 - ext4 /dev/root rw\n";
  Mounts(root + "24 23 8:1 / /esp ro,relatime - vfat /dev/sda1 rw\n");
  EXPECT_EQ(RuleOf("esp-mount"), "install.read-only");
  EXPECT_EQ(RuleOf("state-mount"), "ok");
  ExpectInstallRefuses("install.read-only", "PLANNED");
  Mounts(root + "24 23 8:1 / /esp rw,relatime - vfat /dev/sda1 ro,errors=remount-ro\n");
  EXPECT_EQ(RuleOf("esp-mount"), "install.read-only") << "an error made the file system read-only";
  Mounts(root + "24 23 8:1 / /esp rw - vfat /dev/sda1 rw,errors=remount-ro\n" +
         "25 23 8:1 / /esp2 ro - vfat /dev/sda1 ro\n");
  EXPECT_EQ(RuleOf("esp-mount"), "ok");
  Mounts(root + "24 23 8:9 / /state ro - ext4 /dev/sda9 ro\n");
  EXPECT_EQ(RuleOf("state-mount"), "install.read-only");
  Mounts("");
  EXPECT_EQ(RuleOf("esp-mount"), "install.read-only") << "unsure is no";
}

TEST_F(PreflightTest, RefusesWithTooLittleMemoryAndMayTryAgain) {
  Memory("MemAvailable: 40959 kB\n");
  ExpectInstallRefuses("install.memory", "PLANNED");
  Memory("MemTotal: 99999 kB\n");
  EXPECT_EQ(RuleOf("memory"), "install.memory");
  ASSERT_TRUE(world_.files().Remove("proc/meminfo"));
  EXPECT_EQ(RuleOf("memory"), "not-found");
  Memory("MemAvailable: 40960 kB\n");
  ReleaseSource source(kNew);
  EXPECT_TRUE(installer_.Install(kNew.plan, source));
}

TEST_F(PreflightTest, RefusesOnAWeakBatteryWithoutMains) {
  Supply("BAT0", "Battery", "", "Discharging", "29");
  EXPECT_EQ(Find("power").have, "BAT0 at 29 %, Discharging");
  ExpectInstallRefuses("install.power", "PLANNED");
  Supply("BAT0", "Battery", "", "Discharging", "30");
  EXPECT_EQ(RuleOf("power"), "ok");
  Supply("BAT0", "Battery", "", "Charging", "3");
  EXPECT_EQ(RuleOf("power"), "ok");
  Supply("BAT0", "Battery", "", "Discharging", "");
  EXPECT_EQ(RuleOf("power"), "install.power") << "unsure is no";
  Supply("AC", "Mains", "0");
  EXPECT_EQ(RuleOf("power"), "install.power");
  Supply("AC", "Mains", "1");
  EXPECT_EQ(RuleOf("power"), "ok");
}

TEST_F(PreflightTest, IgnoresBatteriesOfAttachedDevices) {
  Supply("mouse", "Battery", "", "Discharging", "2", "Device");
  EXPECT_EQ(RuleOf("power"), "ok");
}

TEST_F(PreflightTest, RefusesAFolderWithoutRoomForItsNames) {
  const std::string name(240, 'x');
  // Twenty directory entries each.
  for (size_t i = 0; i <= 65536 / 20; ++i)
    world_.files().Plant("esp/sallyport/" + name + std::to_string(10000 + i), {});
  ExpectInstallRefuses("install.esp-directory", "FAILED");
}

TEST_F(PreflightTest, RefusesNamesThatAreTooLong) {
  InstallerConfig config = world_.Config();
  config.slot_b.uki = "esp/sallyport/" + std::string(244, 'b');
  class Files final : public BlockTargetOpener {
    Result<std::unique_ptr<BlockTarget>> Open(const std::string&) override {
      return Error{Reason::kNotFound, "no slot"};
    }
  } slots;
  Installer installer({world_.files(), slots, world_.boot(), world_.record()}, config);
  const std::vector<PreflightCheck> checks = *installer.Preflight({});
  EXPECT_EQ(checks[4].resource, "esp-directory");
  EXPECT_EQ(checks[4].failure->rule, "install.esp-directory");
}

TEST_F(PreflightTest, RefusesABootLoaderThatCouldNotBeArmed) {
  const std::vector<std::string> names = *world_.files().List("efivars");
  for (const std::string& name : names) {
    if (!name.starts_with("Boot0001")) continue;
    ASSERT_TRUE(world_.files().Remove("efivars/" + name));
  }
  EXPECT_EQ(RuleOf("boot-loader"), "efi.no-entry");
  ReleaseSource source(kNew);
  EXPECT_EQ(installer_.Install(kNew.plan, source).error().rule, "efi.no-entry");
  EXPECT_EQ(source.served(), 0u);
}

}  // namespace
}  // namespace sallyport::ota
