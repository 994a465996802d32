// What a release must satisfy before this device may install it, whichever way it came: assigned by
// the director (uptane.h) or brought in a bundle (usb_bundle.h). Pure.
#pragma once

#include <string>

#include "ota/metadata/release.h"
#include "ota/metadata/trusted_metadata.h"

namespace sallyport::ota {

// ManifestFloors are numbers from beyond the disk (TPM counters) below which nothing is accepted.
struct ManifestFloors {
  uint64_t image_root_version = 0;
  uint64_t image_targets_version = 0;
  uint64_t director_version = 0;  // of the director's targets: incarnation * 2^32 + counter
  uint64_t rollback_index = 0;
};

// FindSigned finds a target that the offline role `targets` itself signed; kUntrusted,
// uptane.release-unsigned.
Result<const TargetFile*> FindSigned(const TrustedMetadata& image, const std::string& path);

// CheckImageFloors: kRollback, uptane.floor, when root or targets are older than the counters say.
Result<Unit> CheckImageFloors(const TrustedMetadata& image, const ManifestFloors& floors);

// CheckRelease reads the release.json at `path`, which `file` describes: it is what its metadata
// says, made for `hardware_id`, not below the rollback floor, and its files are those that targets
// signed. uptane.release-content, uptane.hardware, uptane.release-rollback, uptane.release-file.
Result<Release> CheckRelease(const TrustedMetadata& image, const std::string& path,
                             const TargetFile& file, ByteView json, std::string_view hardware_id,
                             const ManifestFloors& floors);

}  // namespace sallyport::ota
