// The one bridge from verified metadata to the installer: an InstallPlan comes only from a
// VerifiedRelease.
#pragma once

#include "ota/install/install_plan.h"
#include "ota/metadata/uptane.h"

namespace sallyport::ota {

class InstallPlanMaker {
 public:
  // From copies the facts of `release`. Paths are target paths, without the digest of
  // ConsistentPath.
  static InstallPlan From(const VerifiedRelease& release);
};

}  // namespace sallyport::ota
