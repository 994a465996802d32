// DeviceContentKeys: the keys of sealed releases, as this device gets and opens them
// (docs/updates.md, "Confidentiality"). The plain key is in memory only, for one installation; the
// wrapped one is kept, so that an installation goes on after a power cut without a server.
#pragma once

#include <functional>

#include "device-client/agent/content_key_record.h"
#include "ota/install/content_keys.h"

namespace sallyport::device {

struct ContentKeyParts {
  FileSystem& files;
  std::string state;  // the agent's directory
  // activate is Tpm::ActivateCredential for this device's EK.
  std::function<Result<pki::SecretBytes>(ByteView credential_blob, ByteView encrypted_secret)>
      activate;
  // fetch asks the service. kUnavailable while it cannot be asked or does not give the key.
  std::function<Result<WrappedContentKey>(const ReleaseDigest& release)> fetch;
};

// One thread at a time.
class DeviceContentKeys final : public ota::ContentKeySource {
 public:
  explicit DeviceContentKeys(ContentKeyParts parts) : parts_(std::move(parts)) {}
  // Get: the errors of fetch and activate; kMismatch, content-key.other, when what is in the
  // credential is not the key that the release names. What is kept and does not open is fetched
  // anew.
  Result<pki::ContentSeal> Get(const ReleaseDigest& release, const pki::ContentKeyId& id) override;

 private:
  Result<pki::ContentSeal> Kept(const ReleaseDigest& release, const pki::ContentKeyId& id);
  Result<pki::ContentSeal> Open(const WrappedContentKey& key, const pki::ContentKeyId& id);

  const ContentKeyParts parts_;
};

}  // namespace sallyport::device
