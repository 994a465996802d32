// The dm-verity tree of an image that becomes a release: found, verified, and held against the
// kernel's command line.
#pragma once

#include <optional>

#include "ota/measure/verity.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// FindVerity looks for a superblock that stands right behind the data it names
// (`veritysetup format --hash-offset=<size of the data> IMAGE IMAGE`) and verifies its tree:
// kMismatch, release.verity-tree, when a block of it is not the hash of what it covers, or the
// image ends before. Superblocks of another format count as none: the command line then names a
// hash that nothing here shows, which CheckVerityCommandLine refuses.
Result<std::optional<VerityTree>> FindVerity(File& image);

// CheckVerityCommandLine holds the tree against the words roothash=, usrhash= (the root hash) or
// sallyport.image= (SHA-256 and length of the whole image) of the UKI's command line. kMismatch,
// release.verity-cmdline, when a word names something else, when none is there though the image has
// a tree, and when a hash is named but the image has none.
Result<Unit> CheckVerityCommandLine(ByteView uki, const std::optional<VerityTree>& tree,
                                    const Sha256Digest& image_sha256, uint64_t image_length);

}  // namespace sallyport::ota
