// UpdateMachinery puts the real parts of ota/install together as this machine's configuration names
// them.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ota/install/installer.h"

namespace sallyport::device {

// How this machine's boot loader chooses a slot (docs/updates.md, "Boot loaders").
enum class BootLoaderKind : uint8_t {
  kEfi,          // the firmware: BootNext and BootOrder
  kSystemdBoot,  // boot counting in \EFI\Linux
  kUBoot,        // its redundant environment
  kGrub,         // its environment block
};

struct UpdatePaths {
  std::string slot_a;  // block device or file
  std::string slot_b;
  std::string esp;      // mounted partition of the kernel images, an EFI system partition
  std::string efivars;  // directory of EFI variables; unused by kUBoot and kGrub
  std::string state;    // the agent's directory; the record is the file `update` in it
  BootLoaderKind boot = BootLoaderKind::kEfi;
  std::string uboot_env{};  // fw_env.config, for kUBoot
  std::string grubenv{};    // the environment block, for kGrub
  ota::ComponentPlaces components{};
};

// UpdateMachinery borrows `files`, and `floor` and `content_keys`, which may be null
// (ota/install/installer.h). One
// thread at a time: read slot and release of this boot before an UpdateWorker gets the installer.
class UpdateMachinery {
 public:
  // Make: errors of reading fw_env.config.
  static Result<std::unique_ptr<UpdateMachinery>> Make(
      FileSystem& files, const UpdatePaths& paths, ota::MonotonicFloor* floor = nullptr,
      ota::ContentKeySource* content_keys = nullptr);
  UpdateMachinery(const UpdateMachinery&) = delete;
  UpdateMachinery& operator=(const UpdateMachinery&) = delete;

  ota::Installer& installer() { return installer_; }

 private:
  UpdateMachinery(FileSystem& files, const UpdatePaths& paths,
                  std::unique_ptr<ota::BootControl> boot, ota::MonotonicFloor* floor,
                  ota::ContentKeySource* content_keys);

  ota::PosixBlockTargetOpener slots_;
  const std::unique_ptr<ota::BootControl> boot_;
  ota::RecordStore record_;
  std::optional<ota::FirmwareUpdate> firmware_;  // where the firmware has variables
  ota::Installer installer_;
};

}  // namespace sallyport::device
