#include "ota/metadata/release_rules.h"

#include <algorithm>

namespace sallyport::ota {
namespace {

Error Refuse(Reason reason, std::string_view rule, std::string detail) {
  return Error{reason, std::move(detail), rule};
}

Result<Unit> CheckReleaseFile(const TrustedMetadata& image, const ReleaseFile& file) {
  SP_TRY(const TargetFile* target, FindSigned(image, file.path));
  if (target->length == file.length && target->digests.sha256() == file.sha256) return Ok();
  return Refuse(Reason::kMismatch, "uptane.release-file",
                file.path + ": release and repository differ");
}

}  // namespace

Result<const TargetFile*> FindSigned(const TrustedMetadata& image, const std::string& path) {
  SP_TRY(const TrustedMetadata::Search search, image.FindTarget(path));
  const auto* found = std::get_if<TrustedMetadata::Found>(&search);
  if (found == nullptr || found->role != RoleName(Role::kTargets))
    return Refuse(Reason::kUntrusted, "uptane.release-unsigned",
                  path + ": not signed by the role targets");
  return found->file;
}

Result<Unit> CheckImageFloors(const TrustedMetadata& image, const ManifestFloors& floors) {
  if (image.root().version >= floors.image_root_version &&
      image.top().version >= floors.image_targets_version)
    return Ok();
  return Refuse(Reason::kRollback, "uptane.floor", "older than the device's own counters say");
}

Result<Release> CheckRelease(const TrustedMetadata& image, const std::string& path,
                             const TargetFile& file, ByteView json, std::string_view hardware_id,
                             const ManifestFloors& floors) {
  SP_TRY(file.Check(json, path));
  SP_TRY(Release release, ParseRelease(json));
  if (CanonicalJson(ReleaseCustom(release)) != CanonicalJson(file.custom) ||
      path != ReleaseDirectory(release.product, release.version) + "/release.json")
    return Refuse(Reason::kMismatch, "uptane.release-content",
                  path + ": not what its metadata says");
  if (std::ranges::find(release.hardware, hardware_id) == release.hardware.end())
    return Refuse(Reason::kMismatch, "uptane.hardware",
                  path + ": not for " + std::string(hardware_id));
  if (release.rollback_index < floors.rollback_index)
    return Refuse(Reason::kRollback, "uptane.release-rollback",
                  path + ": below the rollback floor");
  for (const ReleaseFile* part : FilesOf(release)) SP_TRY(CheckReleaseFile(image, *part));
  return release;
}

}  // namespace sallyport::ota
