// BootControl over U-Boot's redundant environment and its boot count (U-Boot doc: Boot Count
// Limit). `boot_slot` is what bootcmd boots; `upgrade_available`=1 with `bootcount`=0 and
// `bootlimit`=1 gives it one boot, after which `altbootcmd` goes back (docs/updates.md).
#pragma once

#include <array>

#include "ota/install/boot_control.h"
#include "ota/install/kernel_slot.h"
#include "ota/install/u_boot_environment.h"

namespace sallyport::ota {

// Every change is one write of the copy that U-Boot does not use, made durable and read back; so
// all variables change together, and a cut leaves the copy in use. Errors: kMalformed with
// uboot.both-damaged and uboot.slot (boot_slot names no slot), kNotFound with uboot.no-fallback
// (no altbootcmd: a failed trial would not go back), kMismatch with uboot.read-back, those of
// UBootEnvironment and KernelSlot.
class UBootControl final : public BootControl {
 public:
  // Borrows `files`.
  UBootControl(FileSystem& files, std::array<UBootCopy, 2> copies, KernelSlot running)
      : files_(files), copies_(std::move(copies)), running_(std::move(running)) {}

  Result<Slot> RunningSlot() override { return running_.Find(); }
  Result<std::optional<Slot>> NextBoot() override;
  Result<Unit> Disarm(Slot slot) override;
  Result<Unit> ArmOnce(Slot slot) override;
  Result<Unit> MakeDefault(Slot slot) override;
  Result<Unit> Check() override;

 private:
  struct Held {
    UBootEnvironment environment;
    size_t other;  // index of the copy to write next
  };
  Result<Bytes> ReadCopy(const UBootCopy& copy);
  Result<Held> Load();
  Result<Unit> Save(const Held& held);
  Result<Unit> Settle();
  Result<Unit> Choose(Slot slot, bool once);

  FileSystem& files_;
  const std::array<UBootCopy, 2> copies_;
  KernelSlot running_;
};

}  // namespace sallyport::ota
