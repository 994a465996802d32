// The wrapped content key of the release that is being installed, beside the update's state: after
// a power cut the TPM opens it again, and no server is needed. A hint on an untrusted disk: what it
// opens to is held against the key id that the release names.
#pragma once

#include <optional>
#include <string>

#include "pki/base/file_system.h"
#include "pki/crypto/content_seal.h"

namespace sallyport::device {

// WrappedContentKey opens by ActivateCredential in this device's TPM (device-client/tpm/tpm.h).
struct WrappedContentKey {
  ReleaseDigest release;
  pki::ContentKeyId id;
  Bytes credential_blob;
  Bytes encrypted_secret;
  bool operator==(const WrappedContentKey&) const = default;
};

// LoadContentKey: nullopt for a missing file; kMalformed for what does not parse.
Result<std::optional<WrappedContentKey>> LoadContentKey(FileSystem& files,
                                                        const std::string& directory);
Result<Unit> SaveContentKey(FileSystem& files, const std::string& directory,
                            const WrappedContentKey& key);

}  // namespace sallyport::device
