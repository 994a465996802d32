// Making a release: pack the root image, measure the UKI, write release.json and stage it all for
// signing.
#pragma once

#include <functional>

#include "ota/metadata/release.h"
#include "ota/repository/components.h"
#include "ota/repository/folder.h"

namespace sallyport::ota {

// Names of the chunks in the directory of a release (ReleaseDirectory).
inline constexpr std::string_view kChunksIndexName = "chunks.index";
inline constexpr std::string_view kChunksPayloadName = "chunks.bin";

struct ReleaseInputs {
  std::string product;
  ReleaseVersion version;
  ReleaseVersion min_version;
  std::vector<std::string> hardware;
  uint64_t rollback_index = 0;
  bool security_floor = false;
  std::string uki_path;    // a UKI, as it goes to the ESP
  std::string image_path;  // the raw root image, as it goes to the slot
  std::vector<ComponentInput> components = {};
  std::vector<std::string> from = {};  // older releases that get a delta (old_release.h)
  std::optional<UnixTime> install_by = {};
  const pki::ContentSeal* seal = nullptr;  // borrowed: full payload, deltas and chunks are sealed
};

// `what` is "image", "delta from <version>" or "chunks"; `done` and `total` are bytes of the image.
using CreateProgress = std::function<void(const std::string& what, uint64_t done, uint64_t total)>;

// CreateRelease stages the targets of one release, valid until `expires`. kAlreadyExists, rule
// release.exists, when that product and version is published or staged; rules of MeasureUki,
// PackImage, AddComponents, FindOldRelease, MakeDelta and ParseRelease. With `seal`, kUnsupported,
// release.sealed-component, for components that are files: they would lie open beside the image.
Result<Release> CreateRelease(RepositoryFolder& folder, const ReleaseInputs& inputs,
                              UnixTime expires, const CreateProgress& progress = {});

// WithdrawRelease stages targets without the release: nobody can be assigned it any more once that
// is published. Its files stay in the folder. A withdrawn release may be created again. kNotFound,
// rule release.unknown.
Result<Unit> WithdrawRelease(RepositoryFolder& folder, std::string_view product,
                             const ReleaseVersion& version, UnixTime expires);

}  // namespace sallyport::ota
