#include "ota/install/efi_boot_control.h"

#include "tests/fakes/forwarding_file_system.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::ota {
namespace {

const std::string kGuid = "-8be4df61-93ca-11d2-aa0d-00e098032b8c";

EfiLoadOption Option(const std::string& name, const std::string& file) { return {name, file}; }
constexpr EfiPartition kEsp{1, 2048, 262144, {}};

class EfiBootControlTest : public ::testing::Test {
 protected:
  void SetVariable(const std::string& name, const std::string& hex) {
    const Bytes bytes = *HexDecode("07000000" + hex);
    ASSERT_TRUE(WriteFileAtomically(files_, "vars/" + name + kGuid, bytes));
  }
  // Variable returns attributes and data in hex, "" when it does not exist.
  std::string Variable(const std::string& name) {
    const auto bytes = ReadFile(files_, "vars/" + name + kGuid, 65536);
    return bytes ? HexEncode(*bytes) : "";
  }
  // Provisioned makes the entries 0000 (A) and 0001 (B).
  void Provisioned() { ASSERT_TRUE(boot_.Provision(Slot::kA, kEsp)); }

  MemoryFileSystem files_;
  EfiBootControl boot_{
      files_, {"vars", Option("Sallyport A", "\\a.efi"), Option("Sallyport B", "\\b.efi")}};
};

TEST(EfiLoadOption, HasTheDevicePathThatFirmwareMeasured) {
  // From the event log of a real boot (tests/vectors/ovmf/ab-sb-off-step5-v1), behind the PCI
  // nodes.
  const std::string path =
      "04012a000100000000080000000000000000040000000000111111112222333344445555555555010202"
      "040430005c004500460049005c0042004f004f0054005c0042004f004f0054005800360034002e00450046004900"
      "00007fff0400";
  EfiPartition partition{1, 0x800, 0x40000, {}};
  const Bytes guid = *HexDecode("11111111222233334444555555555501");
  std::ranges::copy(guid, partition.guid.begin());

  const Bytes option = EfiLoadOption{"A", "\\EFI\\BOOT\\BOOTX64.EFI"}.Encode(partition);

  EXPECT_EQ(HexEncode(option),
            "01000000"
            "5e00"
            "41000000" +
                path);
}

TEST(EfiLoadOption, SurvivesARoundTripAndNoTruncation) {
  const EfiLoadOption option = Option("Sallyport A", "\\a.efi");
  const Bytes data = option.Encode(kEsp);
  EXPECT_EQ(EfiLoadOption::Decode(data), option);
  for (size_t size = 0; size < data.size(); ++size)
    EXPECT_EQ(EfiLoadOption::Decode(ByteView(data).first(size)), std::nullopt) << size;
}

TEST(EfiLoadOption, IsNotReadFromOtherEntries) {
  Bytes two_files = Option("A", "\\a").Encode(kEsp);
  EXPECT_TRUE(EfiLoadOption::Decode(two_files));
  two_files[6] = 0x1f;  // a control character in the description
  EXPECT_FALSE(EfiLoadOption::Decode(two_files));
  // A device path that is only an end node: the firmware's own entries.
  EXPECT_FALSE(
      EfiLoadOption::Decode(*HexDecode("01000000"
                                       "0400"
                                       "41000000"
                                       "7fff0400")));
  // A node shorter than its header.
  EXPECT_FALSE(
      EfiLoadOption::Decode(*HexDecode("01000000"
                                       "0400"
                                       "41000000"
                                       "04040300")));
}

TEST_F(EfiBootControlTest, ProvisionsEntriesAndTheDefault) {
  Provisioned();

  EXPECT_EQ(Variable("BootOrder"), "070000000000");
  EXPECT_EQ(Variable("Boot0001"),
            "07000000" + HexEncode(Option("Sallyport B", "\\b.efi").Encode(kEsp)));
}

TEST_F(EfiBootControlTest, ProvisionsAroundEntriesOfOthers) {
  SetVariable("Boot0000", "0102");
  SetVariable("BootOrder", "0000");

  Provisioned();

  EXPECT_EQ(Variable("Boot0000"), "070000000102");
  EXPECT_EQ(Variable("BootOrder"), "0700000001000000");
}

TEST_F(EfiBootControlTest, ProvisioningInATrialBootChangesNothing) {
  Provisioned();
  const uint64_t before = files_.operations();

  ASSERT_TRUE(boot_.Provision(Slot::kB, kEsp));

  EXPECT_EQ(files_.operations(), before);
}

TEST_F(EfiBootControlTest, ReadsTheRunningSlotFromBootCurrent) {
  Provisioned();
  SetVariable("BootCurrent", "0100");
  EXPECT_EQ(*boot_.RunningSlot(), Slot::kB);
  SetVariable("BootCurrent", "0000");
  EXPECT_EQ(*boot_.RunningSlot(), Slot::kA);
}

TEST_F(EfiBootControlTest, RefusesABootFromNeitherSlot) {
  Provisioned();
  EXPECT_EQ(boot_.RunningSlot().error().rule, "efi.no-entry");
  SetVariable("BootCurrent", "0700");
  EXPECT_EQ(boot_.RunningSlot().error().rule, "efi.no-entry");
}

TEST_F(EfiBootControlTest, RecognisesAnEntryWhoseAttributesTheFirmwareChanged) {
  Provisioned();
  Bytes option = Option("Sallyport B", "\\b.efi").Encode(kEsp);
  option[0] = 9;
  SetVariable("Boot0001", HexEncode(option));
  SetVariable("BootCurrent", "0100");
  EXPECT_EQ(*boot_.RunningSlot(), Slot::kB);
}

TEST_F(EfiBootControlTest, ArmsOneBootOnly) {
  Provisioned();
  EXPECT_EQ(*boot_.NextBoot(), std::nullopt);

  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));

  EXPECT_EQ(Variable("BootNext"), "070000000100");
  EXPECT_EQ(Variable("BootOrder"), "070000000000");
  EXPECT_EQ(*boot_.NextBoot(), Slot::kB);
}

TEST_F(EfiBootControlTest, MakesADefaultAndKeepsTheOthersBehindIt) {
  Provisioned();
  SetVariable("Boot0009", "0102");
  SetVariable("BootOrder", "00000900");

  ASSERT_TRUE(boot_.MakeDefault(Slot::kB));

  EXPECT_EQ(Variable("BootOrder"), "07000000010000000900");
}

TEST_F(EfiBootControlTest, DisarmsTheOrderAndThePendingBoot) {
  Provisioned();
  ASSERT_TRUE(boot_.MakeDefault(Slot::kB));
  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));

  ASSERT_TRUE(boot_.Disarm(Slot::kB));

  EXPECT_EQ(Variable("BootOrder"), "070000000000");
  EXPECT_EQ(Variable("BootNext"), "");
}

TEST_F(EfiBootControlTest, LeavesAPendingBootOfSomebodyElse) {
  Provisioned();
  SetVariable("BootNext", "0700");

  ASSERT_TRUE(boot_.Disarm(Slot::kB));

  EXPECT_EQ(Variable("BootNext"), "070000000700");
  EXPECT_EQ(*boot_.NextBoot(), std::nullopt);
}

TEST_F(EfiBootControlTest, RefusesToLeaveTheMachineWithoutADefault) {
  Provisioned();
  ASSERT_TRUE(files_.Remove("vars/Boot0000" + kGuid));
  EXPECT_EQ(boot_.Disarm(Slot::kB).error().rule, "efi.no-entry");
  EXPECT_EQ(boot_.MakeDefault(Slot::kB).error().rule, "efi.no-entry");
  EXPECT_EQ(boot_.ArmOnce(Slot::kA).error().rule, "efi.no-entry");
}

TEST_F(EfiBootControlTest, RefusesVariablesOfTheWrongShape) {
  Provisioned();
  SetVariable("BootOrder", "000000");
  EXPECT_EQ(boot_.Disarm(Slot::kB).error().rule, "efi.variable");
  SetVariable("BootCurrent", "000000");
  EXPECT_EQ(boot_.RunningSlot().error().rule, "efi.variable");
  SetVariable("BootNext", "");
  EXPECT_EQ(boot_.NextBoot().error().rule, "efi.variable");
}

TEST_F(EfiBootControlTest, TakesAVariableWhoseCreationWasCutOffForAbsent) {
  Provisioned();
  ASSERT_TRUE(WriteFileAtomically(files_, "vars/BootNext" + kGuid, {}));
  EXPECT_EQ(*boot_.NextBoot(), std::nullopt);
}

// EfivarsLike refuses names that are no variable's and has no fsync, as Linux efivarfs.
class EfivarsLike final : public ForwardingFileSystem {
 public:
  using ForwardingFileSystem::ForwardingFileSystem;
  class Unsyncable final : public File {
   public:
    explicit Unsyncable(std::unique_ptr<File> file) : file_(std::move(file)) {}
    Result<size_t> ReadAt(uint64_t at, std::span<uint8_t> out) override {
      return file_->ReadAt(at, out);
    }
    Result<Unit> WriteAt(uint64_t at, ByteView bytes) override { return file_->WriteAt(at, bytes); }
    Result<Unit> Sync() override { return Error{Reason::kUnavailable, "invalid argument"}; }
    Result<uint64_t> Size() override { return Error{Reason::kUnavailable, "illegal seek"}; }

   private:
    std::unique_ptr<File> file_;
  };
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    if (path.ends_with(".tmp")) return Error{Reason::kUnavailable, "invalid argument"};
    SP_TRY(auto file, ForwardingFileSystem::Open(path, mode));
    return std::unique_ptr<File>(std::make_unique<Unsyncable>(std::move(file)));
  }
  Result<Unit> Rename(const std::string&, const std::string&) override {
    return Error{Reason::kUnavailable, "operation not permitted"};
  }
};

TEST_F(EfiBootControlTest, WorksOnAFileSystemWithTheLimitsOfEfivarfs) {
  EfivarsLike efivars(files_);
  EfiBootControl boot(efivars,
                      {"vars", Option("Sallyport A", "\\a.efi"), Option("Sallyport B", "\\b.efi")});

  ASSERT_TRUE(boot.Provision(Slot::kA, kEsp));
  ASSERT_TRUE(boot.ArmOnce(Slot::kB));
  ASSERT_TRUE(boot.MakeDefault(Slot::kB));
  ASSERT_TRUE(boot.Disarm(Slot::kB));

  EXPECT_EQ(Variable("BootOrder"), "070000000000");
}

}  // namespace
}  // namespace sallyport::ota
