#include "ota/repository/signed_release.h"

#include "ota/metadata/release.h"
#include "ota/metadata/trusted_metadata.h"
#include "ota/metadata/uptane.h"

namespace sallyport::ota {
namespace {

Result<TrustedMetadata> Refresh(const RepositoryFolder& folder, ByteView root,
                                const std::string& trust_domain, UnixTime now) {
  SP_TRY(TrustedMetadata trusted, TrustedMetadata::Start(root, now, ImageRules(trust_domain)));
  for (;;) {
    const Result<Bytes> next = folder.PublishedVersion("root", trusted.root().version + 1);
    if (!next && next.error().reason == Reason::kNotFound) break;
    if (!next) return next.error();
    SP_TRY(trusted.AddRoot(*next));
  }
  SP_TRY(trusted.CloseRoots());
  SP_TRY(const RepositoryFolder::Draft timestamp, folder.Published("timestamp"));
  SP_TRY(trusted.AddTimestamp(timestamp.bytes));
  SP_TRY(const Bytes snapshot,
         folder.PublishedVersion("snapshot", trusted.timestamp().snapshot.version));
  SP_TRY(trusted.AddSnapshot(snapshot));
  SP_TRY(const RepositoryFolder::Draft targets, folder.Published("targets"));
  SP_TRY(trusted.AddTargets(targets.bytes));
  return trusted;
}

}  // namespace

Result<Unit> CheckSignedRelease(const RepositoryFolder& folder, ByteView root,
                                const std::string& trust_domain, ByteView release_json,
                                UnixTime now) {
  SP_TRY(const Release release, ParseRelease(release_json));
  SP_TRY(TrustedMetadata trusted, Refresh(folder, root, trust_domain, now));
  const std::string path = ReleaseDirectory(release.product, release.version) + "/release.json";
  for (;;) {
    SP_TRY(const TrustedMetadata::Search search, trusted.FindTarget(path));
    if (const auto* const need = std::get_if<TrustedMetadata::NeedRole>(&search)) {
      SP_TRY(const RepositoryFolder::Draft role, folder.Published(need->chain.back()));
      SP_TRY(trusted.AddDelegated(need->chain, role.bytes));
      continue;
    }
    const auto* const found = std::get_if<TrustedMetadata::Found>(&search);
    const bool same = found != nullptr && found->file->length == release_json.size() &&
                      found->file->digests.sha256() == pki::Sha256(release_json);
    if (same) return Unit{};
    return Error{Reason::kUntrusted, path + " of these bytes is not signed in the repository",
                 "release.unsigned"};
  }
}

}  // namespace sallyport::ota
