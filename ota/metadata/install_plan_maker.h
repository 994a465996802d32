// The one bridge from verified metadata to the installer: an InstallPlan comes only from a
// VerifiedRelease, which the director assigned, or from a VerifiedBundle, which somebody brought.
#pragma once

#include "ota/install/install_plan.h"
#include "ota/metadata/uptane.h"
#include "ota/metadata/usb_bundle.h"

namespace sallyport::ota {

// FactsOf copies what the installer acts on. Facts alone install nothing: they say what an
// installation would need.
InstallFacts FactsOf(const ReleaseDigest& digest, const Release& release);

class InstallPlanMaker {
 public:
  // From copies the facts of `release`. Paths are target paths, without the digest of
  // ConsistentPath.
  static InstallPlan From(const VerifiedRelease& release);
  // From a bundle, the plan may also say that the device commits by itself.
  static InstallPlan From(const VerifiedBundle& bundle);
};

}  // namespace sallyport::ota
