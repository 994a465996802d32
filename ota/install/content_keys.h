// ContentKeySource: where the installer gets the key of a sealed release (docs/updates.md,
// "Confidentiality").
#pragma once

#include "pki/base/digest.h"
#include "pki/crypto/content_seal.h"

namespace sallyport::ota {

class ContentKeySource {
 public:
  virtual ~ContentKeySource() = default;
  // Get returns the key `id` of `release`. The installer compares the id once more. Errors that
  // MayPass (image_writer.h) are tried again later; any other one fails the release.
  virtual Result<pki::ContentSeal> Get(const ReleaseDigest& release,
                                       const pki::ContentKeyId& id) = 0;
};

}  // namespace sallyport::ota
