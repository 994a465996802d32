// UpdateMachinery puts the real parts of ota/install together as this machine's configuration names
// them.
#pragma once

#include <string>

#include "ota/install/efi_boot_control.h"
#include "ota/install/installer.h"

namespace sallyport::device {

struct UpdatePaths {
  std::string slot_a;  // block device or file
  std::string slot_b;
  std::string esp;      // mounted EFI system partition
  std::string efivars;  // directory of EFI variables
  std::string state;    // the agent's directory; the record is the file `update` in it
};

// UpdateMachinery borrows `files` and `floor`, which may be null (ota/install/installer.h). One
// thread at a time: read slot and release of this boot before an UpdateWorker gets the installer.
class UpdateMachinery {
 public:
  UpdateMachinery(FileSystem& files, const UpdatePaths& paths, ota::MonotonicFloor* floor = nullptr)
      : boot_(files, {paths.efivars}),
        record_(files, paths.state + "/update"),
        installer_({files, slots_, boot_, record_, floor}, Config(paths)) {}
  UpdateMachinery(const UpdateMachinery&) = delete;
  UpdateMachinery& operator=(const UpdateMachinery&) = delete;

  ota::Installer& installer() { return installer_; }

 private:
  static ota::InstallerConfig Config(const UpdatePaths& paths) {
    const std::string ukis = paths.esp + "/EFI/sallyport";
    return {{paths.slot_a, ukis + "/a.efi"}, {paths.slot_b, ukis + "/b.efi"}, paths.esp};
  }
  ota::PosixBlockTargetOpener slots_;
  ota::EfiBootControl boot_;
  ota::RecordStore record_;
  ota::Installer installer_;
};

}  // namespace sallyport::device
