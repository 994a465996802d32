// Firmware capsules of a release: staged beside the kernel images, handed to the firmware when the
// trial is armed, confirmed by the system resource table before the commit (UEFI 2.10, 8.5.5 and
// 23.4). What the firmware has taken is not undone by going back to the other slot.
#pragma once

#include <string>
#include <vector>

#include "ota/install/efi_variables.h"
#include "ota/install/install_plan.h"
#include "ota/install/payload_source.h"

namespace sallyport::ota {

struct FirmwareConfig {
  std::string esp;        // mounted EFI system partition
  std::string variables;  // directory of EFI variables
  std::string table = "/sys/firmware/efi/esrt/entries";
};

// Staged, and handed over: firmware removes what it was handed before it has taken it, and a cut in
// between must leave something for the second try.
inline constexpr uint64_t kCapsuleCopies = 2;

// One thread at a time.
class FirmwareUpdate {
 public:
  // Borrows `files`.
  FirmwareUpdate(FileSystem& files, FirmwareConfig config);

  // Check changes nothing. kPolicyDenied with install.capsule-support (this firmware takes no
  // capsules from the disk), install.firmware-class (this machine has no such firmware),
  // install.firmware-floor (the firmware would refuse to go back that far).
  Result<Unit> Check(const InstallFacts& facts);
  // StagedBytes is the room that Stage and Deliver take on the EFI system partition.
  static uint64_t StagedBytes(const InstallFacts& facts);
  // Stage replaces what was staged before by the capsules of the release; what the table shows
  // already is left out. kMismatch, install.component-digest.
  Result<Unit> Stage(const InstallFacts& facts, PayloadSource& source);
  // Deliver hands a copy of what is staged to the firmware, which takes it at the next boot;
  // nothing when it shows every version already.
  Result<Unit> Deliver();
  // Confirm: kMismatch, install.firmware-version, unless the table shows every version that the
  // staged release demands. kMalformed, install.firmware-demand, when that is not readable.
  Result<Unit> Confirm();
  // Withdraw takes back what the firmware has not taken, and forgets the demand.
  Result<Unit> Withdraw();

 private:
  struct Entry {
    FirmwareVersion current;
    uint32_t lowest;  // that the firmware still takes
  };
  Result<std::vector<Entry>> Table();
  Result<std::optional<Entry>> FindEntry(const std::string& fw_class);
  Result<std::vector<FirmwareVersion>> Demand();
  Result<Unit> WriteDemand(const InstallFacts& facts);
  Result<std::vector<std::string>> Capsules(const std::string& directory);
  Result<Unit> Clear(const std::string& directory);
  Result<Unit> DeliverOne(const std::string& name);
  Result<uint64_t> Indications(const std::string& name);
  Result<Unit> Indicate(bool deliver);

  FileSystem& files_;
  const FirmwareConfig config_;
  const std::string staged_;     // directory
  const std::string delivered_;  // directory that the firmware reads
  EfiVariableStore variables_;
};

}  // namespace sallyport::ota
