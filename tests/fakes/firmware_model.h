// FirmwareModel: what firmware does with capsules on the EFI system partition between power-on and
// boot loader (UEFI 2.10, 8.5.5 and 23.4), written apart from the product's code. Its writes to the
// disk and to its variables go through a MemoryFileSystem whose power can be cut; its own flash
// takes an update whole or not at all.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "tests/fakes/memory_file_system.h"

namespace sallyport {

// The specification leaves the order open.
enum class CapsuleOrder : uint8_t {
  kUpdatesFirst,  // then removes the file and clears the indication
  kRemovesFirst,  // as EDK II does: a cut in between loses the capsule
};

class FirmwareModel {
 public:
  static constexpr const char* kTable = "esrt";
  static constexpr const char* kDelivered = "esp/EFI/UpdateCapsule";
  static constexpr const char* kStaged = "esp/EFI/sallyport";

  // Borrows `files`. The firmware has version 7 and takes 5 and above.
  FirmwareModel(MemoryFileSystem& files, CapsuleOrder order);
  // Sign lets the firmware accept the capsule, which brings `version`.
  void Sign(Bytes capsule, uint32_t version) { signed_[std::move(capsule)] = version; }
  // on_offer is asked what each capsule that the firmware is handed may be; nothing when it may.
  std::function<std::string(const Bytes& capsule)> on_offer;

  // PowerOn takes the capsules when they are indicated; an error when the power went away.
  Result<Unit> PowerOn();
  uint32_t version() const { return version_; }
  // problem is the first thing that must not have been handed over; empty when there was none.
  const std::string& problem() const { return problem_; }
  // Left lists what an update that is over must not leave behind: capsules, an indication, a
  // demand.
  std::string Left();

 private:
  [[nodiscard]] bool Indicated();
  Result<Unit> ClearIndication();
  Result<Unit> Remove(const std::string& name);
  void Update(const Bytes& capsule);

  MemoryFileSystem& files_;
  const CapsuleOrder order_;
  std::map<Bytes, uint32_t> signed_;
  uint32_t version_ = 7;
  std::string problem_;
};

}  // namespace sallyport
