// The components of a release as its maker gives them, on their way into the repository.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ota/metadata/release.h"
#include "ota/repository/folder.h"

namespace sallyport::ota {

// ComponentInput: `firmware_version` makes it a capsule; the class stands in the capsule itself.
struct ComponentInput {
  std::string name;
  std::string path;
  std::optional<uint32_t> firmware_version = std::nullopt;
};
// ParseComponentInput reads NAME=FILE, with `capsule` NAME=FILE@VERSION. kInvalidArgument, rule
// release.component.
Result<ComponentInput> ParseComponentInput(std::string_view text, bool capsule);

// AddComponents copies the files below `directory` of the repository and describes them in
// `targets`. kInvalidArgument with release.component (name, or one name twice), capsule.header;
// errors of reading and writing.
Result<std::vector<ReleaseComponent>> AddComponents(RepositoryFolder& folder,
                                                    const std::string& directory,
                                                    const std::vector<ComponentInput>& inputs,
                                                    TargetFiles& targets);

}  // namespace sallyport::ota
