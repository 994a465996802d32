// Making USB bundles (ota/metadata/usb_bundle.h): people of the bundle's role sign a statement, and
// once it is published everything that a device needs goes into one folder.
#pragma once

#include "ota/metadata/usb_bundle.h"
#include "ota/repository/folder.h"

namespace sallyport::ota {

// StageBundle puts the statement into the draft of its role. kNotFound, rules delegation.unknown
// and bundle.release (targets lists no such release); the rules of CheckBundleable and
// StageTeamFile.
Result<Unit> StageBundle(RepositoryFolder& folder, const BundleStatement& statement);

struct PackedBundle {
  BundleStatement statement;
  uint64_t files;
  uint64_t bytes;
};
// PackBundle writes roots, metadata and the release's files to `out`, then verifies that folder as
// a device would that holds only the first root. kAlreadyExists, rule bundle.exists, when something
// is there; the refusals of VerifyUsbBundle.
Result<PackedBundle> PackBundle(const RepositoryFolder& folder, std::string_view role,
                                const std::string& trust_domain, const std::string& out,
                                UnixTime now);

}  // namespace sallyport::ota
