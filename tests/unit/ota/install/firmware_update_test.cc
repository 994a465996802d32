#include "ota/install/firmware_update.h"

#include "tests/fakes/capsule_builder.h"
#include "tests/fakes/components_source.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::ota {
namespace {

const std::string kClass(kTestFirmwareClass);
constexpr const char* kOtherClass = "ffffffff-4455-6677-8899-aabbccddeeff";

// Firmware at version 7 that still takes 5, and capsules from the disk.
class FirmwareUpdateTest : public ::testing::Test {
 protected:
  FirmwareUpdateTest() {
    for (const char* directory : {"/esp/EFI/sallyport", "/efivars", "/esrt/entry0"})
      EXPECT_TRUE(files_.MakeDirectories(directory));
    Store("/esrt/entry0/fw_class", kClass + "\n");
    Store("/esrt/entry0/lowest_supported_fw_version", "5\n");
    SetVersion(7);
    SetVariable("OsIndicationsSupported", 0x5);
  }
  void Store(const std::string& path, std::string_view text) {
    EXPECT_TRUE(WriteFileAtomically(files_, path, AsBytes(text)));
  }
  void SetVersion(unsigned version) {
    Store("/esrt/entry0/fw_version", std::to_string(version) + "\n");
  }
  void SetVariable(const std::string& name, uint64_t value) {
    EXPECT_TRUE(EfiVariableStore(files_, "/efivars", kEfiGlobalGuid)
                    .Write(name, ByteWriter().LittleU64(value).bytes()));
  }
  uint64_t Indications() {
    const auto data = EfiVariableStore(files_, "/efivars", kEfiGlobalGuid).Read("OsIndications");
    return *data ? *ByteReader(**data, "test").LittleU64() : 0;
  }
  InstallFacts Facts(uint32_t version, const std::string& fw_class = kClass) {
    return FactsOf({source_.Add("bios", capsule_, FirmwareVersion{fw_class, version})});
  }
  InstallFacts Nothing() {
    InstallFacts facts = Facts(8);
    facts.components.clear();
    return facts;
  }
  std::string_view Check(const InstallFacts& facts) { return Name(firmware_.Check(facts)); }
  static std::string_view Name(const Result<Unit>& result) {
    return result ? "ok" : result.error().name();
  }
  std::vector<std::string> Delivered() {
    const auto names = files_.List("/esp/EFI/UpdateCapsule");
    return names ? *names : std::vector<std::string>();
  }
  std::vector<std::string> Staged() { return *files_.List("/esp/EFI/sallyport"); }

  using Names = std::vector<std::string>;
  MemoryFileSystem files_;
  ComponentsSource source_;
  const Bytes capsule_ = BuildCapsule(ToBytes("firmware 8"));
  FirmwareUpdate firmware_{files_, {"/esp", "/efivars", "/esrt"}};
};

TEST_F(FirmwareUpdateTest, IsHandedToTheFirmwareOnlyWhenTheTrialIsArmed) {
  ASSERT_EQ(Check(Facts(8)), "ok");
  ASSERT_TRUE(firmware_.Stage(Facts(8), source_));
  EXPECT_EQ(Staged(), (Names{"firmware", "sallyport-bios.cap"}));
  EXPECT_EQ(Delivered(), Names{});
  EXPECT_EQ(Indications(), 0u);

  ASSERT_TRUE(firmware_.Deliver());
  files_.Restart();
  EXPECT_EQ(Delivered(), Names{"sallyport-bios.cap"});
  EXPECT_EQ(*ReadFile(files_, "/esp/EFI/UpdateCapsule/sallyport-bios.cap", 1 << 20), capsule_);
  EXPECT_EQ(Indications(), 4u);
}

TEST_F(FirmwareUpdateTest, KeepsOtherIndications) {
  SetVariable("OsIndications", 0x1);
  ASSERT_TRUE(firmware_.Stage(Facts(8), source_));
  ASSERT_TRUE(firmware_.Deliver());
  EXPECT_EQ(Indications(), 5u);
  ASSERT_TRUE(firmware_.Withdraw());
  EXPECT_EQ(Indications(), 1u);
}

TEST_F(FirmwareUpdateTest, ConfirmsByTheTableOfTheFirmware) {
  ASSERT_TRUE(firmware_.Stage(Facts(8), source_));
  EXPECT_EQ(Name(firmware_.Confirm()), "install.firmware-version");
  SetVersion(8);
  EXPECT_EQ(Name(firmware_.Confirm()), "ok");
  SetVersion(9);
  EXPECT_EQ(Name(firmware_.Confirm()), "ok");
  ASSERT_TRUE(files_.Remove("/esrt/entry0/fw_version"));
  EXPECT_NE(Name(firmware_.Confirm()), "ok");
}

TEST_F(FirmwareUpdateTest, ADemandThatCannotBeReadConfirmsNothing) {
  for (const char* bad : {"x", "8", "\n", " 8\n", "00112233-4455-6677-8899-aabbccddeeff\n",
                          "00112233-4455-6677-8899-aabbccddeeff x\n"}) {
    Store("/esp/EFI/sallyport/firmware", bad);
    EXPECT_EQ(Name(firmware_.Confirm()), "install.firmware-demand") << bad;
  }
}

TEST_F(FirmwareUpdateTest, StagesNothingThatTheFirmwareHasAlready) {
  SetVersion(8);
  ASSERT_TRUE(firmware_.Stage(Facts(8), source_));

  EXPECT_EQ(source_.fetches, 0u);
  EXPECT_EQ(Name(firmware_.Confirm()), "ok");
  ASSERT_TRUE(firmware_.Deliver());
  EXPECT_EQ(Indications(), 0u);
}

TEST_F(FirmwareUpdateTest, RefusesWhatThisFirmwareCannotTake) {
  EXPECT_EQ(Check(Facts(8, kOtherClass)), "install.firmware-class");
  EXPECT_EQ(Check(Facts(4)), "install.firmware-floor");
  EXPECT_EQ(Check(Facts(5)), "ok");
  SetVariable("OsIndicationsSupported", 0x1);
  EXPECT_EQ(Check(Facts(8)), "install.capsule-support");
  EXPECT_EQ(Check(Nothing()), "ok");
}

TEST_F(FirmwareUpdateTest, RefusesATableThatItCannotRead) {
  Store("/esrt/entry0/fw_version", "seven\n");
  EXPECT_EQ(Check(Facts(8)), "install.firmware-table");
}

TEST_F(FirmwareUpdateTest, RefusesOtherBytesThanTheSignedOnes) {
  const InstallFacts facts = Facts(8);
  source_.served.begin()->second[40] ^= 1;
  EXPECT_EQ(Name(firmware_.Stage(facts, source_)), "install.component-digest");
  ASSERT_TRUE(firmware_.Deliver());
  EXPECT_EQ(Delivered(), Names{});
}

TEST_F(FirmwareUpdateTest, WithdrawsWhatTheFirmwareHasNotTaken) {
  ASSERT_TRUE(firmware_.Stage(Facts(8), source_));
  ASSERT_TRUE(firmware_.Deliver());
  ASSERT_TRUE(firmware_.Withdraw());
  files_.Restart();

  EXPECT_EQ(Delivered(), Names{});
  EXPECT_EQ(Staged(), Names{});
  EXPECT_EQ(Indications(), 0u);
  EXPECT_EQ(Name(firmware_.Confirm()), "ok") << "nothing is demanded any more";
}

TEST_F(FirmwareUpdateTest, IsHandedOverAgainAfterTheFirmwareLostIt) {
  ASSERT_TRUE(firmware_.Stage(Facts(8), source_));
  ASSERT_TRUE(firmware_.Deliver());
  ASSERT_TRUE(files_.Remove("/esp/EFI/UpdateCapsule/sallyport-bios.cap"));
  SetVariable("OsIndications", 0);

  ASSERT_TRUE(firmware_.Deliver());
  EXPECT_EQ(*ReadFile(files_, "/esp/EFI/UpdateCapsule/sallyport-bios.cap", 1 << 20), capsule_);
  EXPECT_EQ(Indications(), 4u);
  EXPECT_EQ(source_.fetches, 1u);
}

TEST_F(FirmwareUpdateTest, IsNotHandedOverAgainOnceTheFirmwareHasIt) {
  ASSERT_TRUE(firmware_.Stage(Facts(8), source_));
  SetVersion(8);
  ASSERT_TRUE(firmware_.Deliver());
  EXPECT_EQ(Delivered(), Names{});
  EXPECT_EQ(Indications(), 0u);
}

TEST_F(FirmwareUpdateTest, ANewReleaseReplacesWhatWasStaged) {
  ASSERT_TRUE(firmware_.Stage(Facts(8), source_));
  ASSERT_TRUE(firmware_.Stage(Nothing(), source_));
  EXPECT_EQ(Staged(), Names{});
}

TEST_F(FirmwareUpdateTest, ACutWhileDeliveringIsMadeGoodByDeliveringAgain) {
  bool whole = false;
  for (uint64_t cut = 0; !whole; ++cut) {
    ASSERT_TRUE(firmware_.Stage(Facts(8), source_));
    files_.CutPowerAfter(cut);
    whole = firmware_.Deliver().has_value();
    files_.CutPowerAfter(UINT64_MAX);
    files_.Restart();
    EXPECT_FALSE(Indications() == 4 && Delivered().empty()) << "the flag without a capsule";
    ASSERT_EQ(Name(firmware_.Deliver()), "ok") << cut;
    EXPECT_EQ(Delivered(), Names{"sallyport-bios.cap"});
    EXPECT_EQ(Indications(), 4u);
  }
}

}  // namespace
}  // namespace sallyport::ota
