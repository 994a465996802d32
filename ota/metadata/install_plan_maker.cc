#include "ota/metadata/install_plan_maker.h"

namespace sallyport::ota {

InstallFacts FactsOf(const ReleaseDigest& digest, const Release& release) {
  const auto remote = [](const ReleaseFile& file) {
    return RemoteFile{file.path, file.length, file.sha256};
  };
  std::vector<RemoteComponent> components;
  for (const ReleaseComponent& component : release.components)
    components.push_back({component.name, remote(component.file), component.firmware});
  std::vector<RemoteDelta> deltas;
  for (const ReleaseDelta& delta : release.deltas)
    deltas.push_back({delta.from, delta.from_length, delta.from_sha256, remote(delta.index),
                      remote(delta.payload)});
  std::optional<RemoteChunks> chunks;
  if (release.chunks)
    chunks = RemoteChunks{remote(release.chunks->index), remote(release.chunks->payload)};
  return InstallFacts{.release = digest,
                      .product = release.product,
                      .version = release.version.text(),
                      .rollback_index = release.rollback_index,
                      .security_floor = release.security_floor,
                      .image_length = release.image.length,
                      .image_sha256 = release.image.sha256,
                      .uki = remote(release.uki),
                      .index = remote(release.image.index),
                      .payload = remote(release.image.payload),
                      .components = std::move(components),
                      .deltas = std::move(deltas),
                      .chunks = std::move(chunks),
                      .verity = release.verity,
                      .install_by = release.install_by,
                      .content_key = release.content_key};
}

InstallPlan InstallPlanMaker::From(const VerifiedRelease& verified) {
  return InstallPlan(FactsOf(verified.digest(), verified.release()), LocalCommit::kRefused,
                     PlanOrigin::kAssigned);
}

InstallPlan InstallPlanMaker::From(const VerifiedBundle& bundle) {
  return InstallPlan(
      FactsOf(bundle.digest(), bundle.release()),
      bundle.statement().commit_locally ? LocalCommit::kAllowed : LocalCommit::kRefused,
      PlanOrigin::kBrought);
}

}  // namespace sallyport::ota
