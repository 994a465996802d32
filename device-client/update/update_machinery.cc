#include "device-client/update/update_machinery.h"

#include <filesystem>

#include "ota/install/efi_boot_control.h"
#include "ota/install/grub_boot_control.h"
#include "ota/install/systemd_boot_control.h"
#include "ota/install/u_boot_control.h"

namespace sallyport::device {
namespace {

using ota::Slot;

constexpr uint64_t kFwEnvConfigMax = 64 * 1024;

// Resolve follows links such as /dev/disk/by-partlabel/slot-a; a path that is not there stays.
std::filesystem::path Resolve(const std::string& path) {
  std::error_code error;
  const std::filesystem::path found = std::filesystem::canonical(path, error);
  return error ? std::filesystem::path(path) : found;
}

ota::KernelSlot RunningSlot(FileSystem& files, const UpdatePaths& paths) {
  return ota::KernelSlot(files, {.device_a = Resolve(paths.slot_a).filename().string(),
                                 .device_b = Resolve(paths.slot_b).filename().string()});
}

std::string LinuxFolder(const UpdatePaths& paths) { return paths.esp + "/EFI/Linux"; }

std::string KernelImage(const UpdatePaths& paths, Slot slot) {
  if (paths.boot == BootLoaderKind::kSystemdBoot)
    return LinuxFolder(paths) + "/" + ota::SystemdBootSlotFile(slot);
  return paths.esp + "/EFI/sallyport/" + (slot == Slot::kA ? "a.efi" : "b.efi");
}

Result<std::unique_ptr<ota::BootControl>> MakeBootControl(FileSystem& files,
                                                          const UpdatePaths& paths) {
  using Made = std::unique_ptr<ota::BootControl>;
  switch (paths.boot) {
    case BootLoaderKind::kEfi:
      return Made(std::make_unique<ota::EfiBootControl>(files, ota::EfiBootConfig{paths.efivars}));
    case BootLoaderKind::kSystemdBoot:
      return Made(std::make_unique<ota::SystemdBootControl>(
          files, ota::SystemdBootConfig{paths.efivars, LinuxFolder(paths)}));
    case BootLoaderKind::kUBoot: {
      SP_TRY(const Bytes text, ReadFile(files, paths.uboot_env, kFwEnvConfigMax));
      SP_TRY(auto copies, ota::ParseFwEnvConfig(AsText(text)));
      return Made(
          std::make_unique<ota::UBootControl>(files, std::move(copies), RunningSlot(files, paths)));
    }
    case BootLoaderKind::kGrub:
      return Made(std::make_unique<ota::GrubBootControl>(files, Resolve(paths.grubenv).string(),
                                                         RunningSlot(files, paths)));
  }
  std::abort();
}

ota::InstallerConfig Config(const UpdatePaths& paths) {
  return {{paths.slot_a, KernelImage(paths, Slot::kA)},
          {paths.slot_b, KernelImage(paths, Slot::kB)},
          paths.esp,
          ota::kCheckpointBytes,
          paths.components};
}

std::optional<ota::FirmwareUpdate> MakeFirmwareUpdate(FileSystem& files, const UpdatePaths& paths) {
  if (paths.efivars.empty()) return std::nullopt;
  return ota::FirmwareUpdate(files, {paths.esp, paths.efivars});
}

}  // namespace

UpdateMachinery::UpdateMachinery(FileSystem& files, const UpdatePaths& paths,
                                 std::unique_ptr<ota::BootControl> boot, ota::MonotonicFloor* floor,
                                 ota::ContentKeySource* content_keys)
    : boot_(std::move(boot)),
      record_(files, paths.state + "/update"),
      firmware_(MakeFirmwareUpdate(files, paths)),
      installer_(
          {files, slots_, *boot_, record_, floor, firmware_ ? &*firmware_ : nullptr, content_keys},
          Config(paths)) {}

Result<std::unique_ptr<UpdateMachinery>> UpdateMachinery::Make(
    FileSystem& files, const UpdatePaths& paths, ota::MonotonicFloor* floor,
    ota::ContentKeySource* content_keys) {
  SP_TRY(std::unique_ptr<ota::BootControl> boot, MakeBootControl(files, paths));
  return std::unique_ptr<UpdateMachinery>(
      new UpdateMachinery(files, paths, std::move(boot), floor, content_keys));
}

}  // namespace sallyport::device
