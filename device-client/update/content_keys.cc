#include "device-client/update/content_keys.h"

#include "ota/install/image_writer.h"
#include "pki/base/log.h"

namespace sallyport::device {

Result<pki::ContentSeal> DeviceContentKeys::Get(const ReleaseDigest& release,
                                                const pki::ContentKeyId& id) {
  auto kept = Kept(release, id);
  // A TPM that does not answer now is not asked with another key.
  if (kept || ota::MayPass(kept.error().reason)) return kept;
  if (kept.error().reason != Reason::kNotFound)
    Log(LogLevel::kWarning, "kept_content_key_unusable", {{"reason", kept.error().ToString()}});
  SP_TRY(WrappedContentKey fetched, parts_.fetch(release));
  fetched.release = release;
  SP_TRY(pki::ContentSeal seal, Open(fetched, id));
  SP_TRY(SaveContentKey(parts_.files, parts_.state, fetched));
  return seal;
}

Result<pki::ContentSeal> DeviceContentKeys::Kept(const ReleaseDigest& release,
                                                 const pki::ContentKeyId& id) {
  // What cannot be read is not there: it is fetched again.
  const auto kept = LoadContentKey(parts_.files, parts_.state);
  if (!kept || !*kept || (*kept)->release != release)
    return Error{Reason::kNotFound, "no key of this release is kept"};
  return Open(**kept, id);
}

Result<pki::ContentSeal> DeviceContentKeys::Open(const WrappedContentKey& key,
                                                 const pki::ContentKeyId& id) {
  SP_TRY(const pki::SecretBytes secret, parts_.activate(key.credential_blob, key.encrypted_secret));
  const auto plain = pki::ContentKey::FromView(secret.view());
  if (plain) {
    pki::ContentSeal seal(*plain);
    if (seal.id() == id) return seal;
  }
  return Error{Reason::kMismatch, "the credential holds another key than the release names",
               "content-key.other"};
}

}  // namespace sallyport::device
