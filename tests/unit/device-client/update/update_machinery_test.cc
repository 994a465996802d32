#include "device-client/update/update_machinery.h"

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

  UpdateMachinery machinery(files, {"a.img", "b.img", "esp", "vars", "state"});

  EXPECT_EQ(*machinery.installer().RunningSlot(), ota::Slot::kB);
  EXPECT_EQ(*machinery.installer().RunningRelease(), release);
  EXPECT_EQ(machinery.installer().Record()->state, ota::UpdateState::kFailed);
}

}  // namespace
}  // namespace sallyport::device
