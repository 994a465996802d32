// Components of a release that are files: each has a place per slot, so that the boot that chooses
// the slot chooses them too. Durable before the slot can be booted.
#pragma once

#include <map>
#include <string>

#include "ota/install/install_plan.h"
#include "ota/install/payload_source.h"
#include "ota/install/slot.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

struct ComponentPlace {
  std::string slot_a;
  std::string slot_b;
  const std::string& Of(Slot slot) const { return slot == Slot::kA ? slot_a : slot_b; }
};
using ComponentPlaces = std::map<std::string, ComponentPlace, std::less<>>;  // by component name

// CheckComponentFiles: kPolicyDenied, install.component (no place on this device); kNoSpace,
// install.component-space, before anything was changed.
Result<Unit> CheckComponentFiles(FileSystem& files, const ComponentPlaces& places,
                                 const InstallFacts& facts, Slot target);

// InstallComponentFiles brings every file of the release to its place for `target`. What stands
// there already, or for the other slot, is not downloaded again. kMismatch,
// install.component-digest.
Result<Unit> InstallComponentFiles(FileSystem& files, const ComponentPlaces& places,
                                   const InstallFacts& facts, Slot target, PayloadSource& source);

}  // namespace sallyport::ota
