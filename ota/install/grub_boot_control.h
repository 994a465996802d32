// BootControl over GRUB's environment block, with the script of docs/updates.md in grub.cfg. ORDER
// holds the slots, the default first; X_OK=1 allows a slot by default; X_TRY=1 boots it once, which
// the script takes back before it boots.
#pragma once

#include "ota/install/boot_control.h"
#include "ota/install/grub_environment.h"
#include "ota/install/kernel_slot.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// GRUB has one copy and writes it in place, so our variables keep their lengths and stand in the
// first sector of the block: a cut leaves all of them as they were, or as they shall be. Errors:
// kMalformed with grub.variable (a value that is not ours), kMismatch with grub.read-back, those of
// GrubEnvironment and KernelSlot.
class GrubBootControl final : public BootControl {
 public:
  // Borrows `files`; `path` is the file itself, no symbolic link.
  GrubBootControl(FileSystem& files, std::string path, KernelSlot running)
      : files_(files), path_(std::move(path)), running_(std::move(running)) {}

  Result<Slot> RunningSlot() override { return running_.Find(); }
  Result<std::optional<Slot>> NextBoot() override;
  Result<Unit> Disarm(Slot slot) override;
  Result<Unit> ArmOnce(Slot slot) override;
  Result<Unit> MakeDefault(Slot slot) override;
  Result<Unit> Check() override;

 private:
  // Load refuses a block without our variables.
  Result<GrubEnvironment> Load();
  Result<Unit> Save(GrubEnvironment environment);

  FileSystem& files_;
  const std::string path_;
  KernelSlot running_;
};

}  // namespace sallyport::ota
