// BootControl: which slot runs, and which one the machine boots next. Implemented over EFI
// variables (efi_boot_control.h), systemd-boot (systemd_boot_control.h), U-Boot's environment
// (u_boot_control.h) and GRUB's (grub_boot_control.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ota/install/slot.h"
#include "pki/base/result.h"

namespace sallyport::ota {

// Every change is durable and read back before it returns. One thread at a time.
class BootControl {
 public:
  virtual ~BootControl() = default;
  // RunningSlot is the slot that the firmware booted; kNotFound when it booted neither.
  virtual Result<Slot> RunningSlot() = 0;
  // NextBoot is the slot of a pending one-shot boot.
  virtual Result<std::optional<Slot>> NextBoot() = 0;
  // Disarm makes sure that the firmware cannot choose `slot` by itself; the other slot becomes the
  // default.
  virtual Result<Unit> Disarm(Slot slot) = 0;
  // ArmOnce makes the firmware boot `slot` once; any later reset boots the default.
  virtual Result<Unit> ArmOnce(Slot slot) = 0;
  // MakeDefault puts `slot` first and keeps the other slot as the fallback.
  virtual Result<Unit> MakeDefault(Slot slot) = 0;
  // Check fails where one of the changes above would: a slot that cannot be chosen, a place that
  // cannot be written. It changes nothing.
  virtual Result<Unit> Check() = 0;

  // A boot loader may count tries in the names of kernel images. `uki` is the slot's name without
  // any (SlotPaths): NewEntry is the file to put a new image into, Entries those that may stand for
  // it now.
  virtual std::string NewEntry(const std::string& uki) const { return uki; }
  virtual Result<std::vector<std::string>> Entries(const std::string& uki) {
    return std::vector<std::string>{uki};
  }
};

}  // namespace sallyport::ota
