// An older release of the repository and its image as a file: what a delta starts from.
#pragma once

#include "ota/metadata/release.h"
#include "ota/repository/folder.h"

namespace sallyport::ota {

struct OldRelease {
  Release release;
  ReleaseDigest digest;
  std::string image_path;
  bool unpacked;  // image_path is a scratch file of the repository
};

// FindOldRelease takes `product/version`, whose image is unpacked from the repository, or the path
// of the raw image of a release of `product`. kNotFound, release.from-unknown, when the repository
// (published or staged) has no such release; kMismatch or kMalformed when its files are not what
// release.json says; kUnsupported, release.from-sealed, for the name of a sealed release; I/O
// errors.
Result<OldRelease> FindOldRelease(const RepositoryFolder& folder, const std::string& product,
                                  const std::string& from);
// DropImage removes what was unpacked.
Result<Unit> DropImage(const RepositoryFolder& folder, const OldRelease& old);

}  // namespace sallyport::ota
