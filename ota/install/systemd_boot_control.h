// BootControl over systemd-boot (UAPI Boot Loader Specification; systemd's Automatic Boot
// Assessment): each slot is one kernel image in \EFI\Linux that carries its tries in its name,
// `sallyport-b+2-0.efi`, until it is blessed at the commit: `sallyport-b.efi`. The trial is
// LoaderEntryOneShot, the default LoaderEntryDefault.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ota/install/boot_control.h"
#include "ota/install/efi_variables.h"

namespace sallyport::ota {

struct SystemdBootConfig {
  std::string variables;  // directory, /sys/firmware/efi/efivars
  std::string directory;  // \EFI\Linux of the mounted EFI system partition
};

// SystemdBootSlotFile is the kernel image of a slot without tries in its name.
std::string SystemdBootSlotFile(Slot slot);

// Errors: those of EfiVariableStore; kNotFound with systemd-boot.no-entry (no kernel image of this
// slot) and systemd-boot.not-used (this boot was not systemd-boot's choice of a slot).
class SystemdBootControl final : public BootControl {
 public:
  // Borrows `files`.
  SystemdBootControl(FileSystem& files, SystemdBootConfig config);

  Result<Slot> RunningSlot() override;
  Result<std::optional<Slot>> NextBoot() override;
  // Disarm also takes the last try from the slot's name, so that a boot loader whose variables were
  // lost ranks it behind the other.
  Result<Unit> Disarm(Slot slot) override;
  // ArmOnce gives the slot its tries back.
  Result<Unit> ArmOnce(Slot slot) override;
  Result<Unit> MakeDefault(Slot slot) override;
  Result<Unit> Check() override;
  std::string NewEntry(const std::string& uki) const override;
  Result<std::vector<std::string>> Entries(const std::string& uki) override;

 private:
  Result<std::vector<std::string>> Names(std::string_view stem);
  Result<Unit> RequireEntry(Slot slot);
  Result<Unit> Rename(Slot slot, const std::string& name);
  Result<std::optional<Slot>> ReadSlot(const std::string& variable);
  Result<Unit> WriteSlot(const std::string& variable, Slot slot);

  FileSystem& files_;
  EfiVariableStore variables_;
  const SystemdBootConfig config_;
};

}  // namespace sallyport::ota
