#include "ota/repository/policy_release.h"

#include "ota/metadata/uptane.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {

Result<Unit> StagePolicy(RepositoryFolder& folder, ByteView manifest_json, UnixTime expires) {
  const Digests digests = Digests::Of(manifest_json);
  if (const auto staged = folder.Staged(kPolicyRole)) {
    SP_TRY(const Targets held, DraftTargets(*staged));
    const TargetFile* file = held.Find(kPolicyTargetPath);
    if (file != nullptr && file->digests == digests) return Ok();
  }
  const std::string path(kPolicyTargetPath);
  SP_TRY(TargetFile target, folder.AddTarget(path, manifest_json));
  return folder.StageTargets(kPolicyRole, {{path, std::move(target)}}, expires, /*replace=*/true);
}

Result<SigningStatus> SignPolicy(RepositoryFolder& folder, ByteView manifest_json, UnixTime expires,
                                 const Signer& signer) {
  SP_TRY(StagePolicy(folder, manifest_json, expires));
  return SignStaged(folder, kPolicyRole, signer);
}

}  // namespace sallyport::ota
