// BootControl over EFI variables: no boot loader, two Boot#### entries, BootNext for the trial,
// BootOrder for the commit (UEFI 2.10, 3.1).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "ota/install/boot_control.h"
#include "ota/install/efi_variables.h"

namespace sallyport::ota {

// EfiPartition is the GPT partition that holds the EFI system partition; `guid` in the byte order
// of the table.
struct EfiPartition {
  uint32_t number;
  uint64_t start_lba;
  uint64_t size_lba;
  std::array<uint8_t, 16> guid;
};

// EfiLoadOption is what tells one Boot#### entry from another: its text and the file that it boots.
struct EfiLoadOption {
  std::string description;  // ASCII
  std::string file;         // ASCII, with backslashes: \EFI\sallyport\a.efi
  bool operator==(const EfiLoadOption&) const = default;

  // Encode aborts on text that is not printable ASCII: it comes from our own configuration.
  Bytes Encode(const EfiPartition& partition) const;
  // Decode returns nullopt for anything but an entry that boots one file, described in printable
  // ASCII.
  static std::optional<EfiLoadOption> Decode(ByteView data);
};

struct EfiBootConfig {
  std::string variables;  // directory, /sys/firmware/efi/efivars
  EfiLoadOption slot_a{"Sallyport A", "\\EFI\\sallyport\\a.efi"};
  EfiLoadOption slot_b{"Sallyport B", "\\EFI\\sallyport\\b.efi"};
};

// Errors: those of EfiVariableStore, kNotFound with efi.no-entry (no Boot#### entry of this slot),
// kNoSpace with efi.no-free-entry.
class EfiBootControl final : public BootControl {
 public:
  // Borrows `files`.
  EfiBootControl(FileSystem& files, EfiBootConfig config);

  // Provision makes the entries of both slots that are missing, and puts `running` first in
  // BootOrder when neither slot is in it. A trial boot therefore changes nothing.
  Result<Unit> Provision(Slot running, const EfiPartition& esp);

  Result<Slot> RunningSlot() override;
  Result<std::optional<Slot>> NextBoot() override;
  Result<Unit> Disarm(Slot slot) override;
  Result<Unit> ArmOnce(Slot slot) override;
  Result<Unit> MakeDefault(Slot slot) override;
  Result<Unit> Check() override;

 private:
  Result<std::optional<uint16_t>> ReadNumber(const std::string& name);
  Result<std::vector<uint16_t>> ReadOrder();
  Result<Unit> WriteOrder(const std::vector<uint16_t>& order);
  Result<std::optional<uint16_t>> FindEntry(Slot slot);
  Result<uint16_t> RequireEntry(Slot slot);
  Result<uint16_t> EnsureEntry(Slot slot, const EfiPartition& esp);
  Result<std::optional<Slot>> SlotOf(uint16_t entry);
  const EfiLoadOption& Option(Slot slot) const {
    return slot == Slot::kA ? config_.slot_a : config_.slot_b;
  }

  EfiVariableStore variables_;
  const EfiBootConfig config_;
};

}  // namespace sallyport::ota
