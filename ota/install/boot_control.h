// BootControl: which slot runs, and which one the firmware boots next. Implemented over EFI
// variables (efi_boot_control.h); other boot loaders can follow.
#pragma once

#include <optional>

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
};

}  // namespace sallyport::ota
