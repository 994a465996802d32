#include "device-client/update/update_machinery.h"

#include "ota/install/efi_boot_control.h"
#include "ota/install/grub_environment.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::device {
namespace {

TEST(UpdateMachinery, FindsRecordVariablesAndKernelImagesWhereTheConfigurationSays) {
  MemoryFileSystem files;
  const ota::EfiBootConfig names{"vars"};
  ota::EfiBootControl firmware(files, names);
  ASSERT_TRUE(firmware.Provision(ota::Slot::kB, {1, 2048, 262144, {}}));
  ASSERT_TRUE(WriteFileAtomically(files, "vars/BootCurrent-8be4df61-93ca-11d2-aa0d-00e098032b8c",
                                  Bytes{6, 0, 0, 0, 0, 0}));
  const ReleaseDigest release = ReleaseDigest::FromArray({7});
  ASSERT_TRUE(
      WriteFileAtomically(files, "esp/EFI/sallyport/b.efi.release", AsBytes(HexEncode(release))));
  ota::UpdateRecord record;
  record.state = ota::UpdateState::kFailed;
  ASSERT_TRUE(ota::RecordStore(files, "state/update").Save(record));

  const auto machinery = *UpdateMachinery::Make(files, {"a.img", "b.img", "esp", "vars", "state"});

  EXPECT_EQ(*machinery->installer().RunningSlot(), ota::Slot::kB);
  EXPECT_EQ(*machinery->installer().RunningRelease(), release);
  EXPECT_EQ(machinery->installer().Record()->state, ota::UpdateState::kFailed);
}

UpdatePaths With(BootLoaderKind boot) {
  return {"a.img", "b.img", "esp", "vars", "state", boot, "fw_env.config", "grubenv"};
}

TEST(UpdateMachinery, AsksSystemdBootForTheSlotAndKeepsKernelImagesInItsFolder) {
  MemoryFileSystem files;
  ByteWriter selected;
  selected.LittleU32(6);
  ota::AppendUtf16(selected, "sallyport-b+1-1.efi");
  files.Plant("vars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", selected.bytes());
  const ReleaseDigest release = ReleaseDigest::FromArray({7});
  files.Plant("esp/EFI/Linux/sallyport-b.efi.release", AsBytes(HexEncode(release)));

  const auto machinery = *UpdateMachinery::Make(files, With(BootLoaderKind::kSystemdBoot));

  EXPECT_EQ(*machinery->installer().RunningSlot(), ota::Slot::kB);
  EXPECT_EQ(*machinery->installer().RunningRelease(), release);
}

TEST(UpdateMachinery, AsksTheKernelForTheSlotUnderUBootAndGrub) {
  MemoryFileSystem files;
  files.Plant("/proc/cmdline", AsBytes("sallyport.slot=b"));
  files.Plant("fw_env.config", AsBytes("env 0x0 0x400\nenv 0x400 0x400\n"));
  files.Plant("env", Bytes(0x800, 0xff));
  files.Plant("grubenv", Bytes(ota::kGrubBlockSize, '#'));

  for (const BootLoaderKind boot : {BootLoaderKind::kUBoot, BootLoaderKind::kGrub}) {
    const auto machinery = *UpdateMachinery::Make(files, With(boot));
    EXPECT_EQ(*machinery->installer().RunningSlot(), ota::Slot::kB);
    const auto judged = machinery->installer().Judge();
    EXPECT_EQ(judged.error().rule,
              boot == BootLoaderKind::kUBoot ? "uboot.both-damaged" : "grub.signature");
  }
}

TEST(UpdateMachinery, RefusesAnFwEnvConfigThatItDoesNotUnderstand) {
  MemoryFileSystem files;
  EXPECT_EQ(UpdateMachinery::Make(files, With(BootLoaderKind::kUBoot)).error().reason,
            Reason::kNotFound);
  files.Plant("fw_env.config", AsBytes("env 0x0 0x400\n"));
  EXPECT_EQ(UpdateMachinery::Make(files, With(BootLoaderKind::kUBoot)).error().rule,
            "uboot.config");
}

}  // namespace
}  // namespace sallyport::device
