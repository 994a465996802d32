// What a repository's offline keys have signed of a release, for tools that hold nothing but a
// folder and a root they trust.
#pragma once

#include "ota/repository/folder.h"

namespace sallyport::ota {

// CheckSignedRelease verifies the folder's newest metadata from `root`, which came out of band, as
// a device of `trust_domain` would at `now`, and that it names exactly `release_json`. Rules of
// trusted_metadata.h; kUntrusted (rule release.unsigned) for a release that it does not name, or
// names with other bytes. Nothing of the folder is believed but for its signatures.
Result<Unit> CheckSignedRelease(const RepositoryFolder& folder, ByteView root,
                                const std::string& trust_domain, ByteView release_json,
                                UnixTime now);

}  // namespace sallyport::ota
