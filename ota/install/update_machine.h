// The decisions of an update that no table can state: what to do after a boot, given what the
// record says and what the firmware did. Pure.
#pragma once

#include <optional>

#include "ota/install/state_record.h"

namespace sallyport::ota {

// A slot gets two boots to prove itself: one may fall to a power cut that has nothing to do with
// the release.
inline constexpr uint16_t kTrialAttemptsMax = 2;

struct BootFacts {
  UpdateState state;
  Slot target;
  uint16_t attempt;
  Slot running;
  std::optional<Slot> next_boot;
  bool has_kernel = true;  // the target; FAT may lose both names of a rename that was cut
};

enum class BootAction : uint8_t {
  kNothing,
  kResumeInstall,     // call the installer again with the same plan
  kArm,               // installed and verified: arm when the reboot may happen
  kReboot,            // armed already; only the reboot is missing
  kAwaitAttestation,  // this is the trial boot
  kRetry,             // the target did not come up: arm again
  kRollBack,          // no try left, or refused
  kAbandon,           // the slot being written is the running one: someone chose it by hand; or the
                      // target lost its kernel image before its trial: it may be installed again
  kReportFallback,    // committed, but the firmware fell back to the old slot
};

BootAction JudgeBoot(const BootFacts& facts);

// DeservesAnotherBoot says whether a commit that failed is worth the second try of the slot, by way
// of the old one: firmware that has not taken its update may have lost it to a power cut.
bool DeservesAnotherBoot(const Error& commit, const UpdateRecord& record);

}  // namespace sallyport::ota
