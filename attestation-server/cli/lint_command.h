// `sallyport release lint`: says before a release is made what its image will cost.
#pragma once

#include "attestation-server/cli/command.h"
#include "pki/base/file_system.h"

namespace sallyport::server {

struct ReleaseLintOptions {
  std::string image = {};
  std::string again = {};
  std::string from = {};
  std::string uki = {};
  uint64_t slot_size = 0;  // 0: not judged
  uint64_t esp_size = 0;
  bool json = false;
};

// ReleaseLint exits with 1 when a finding refuses the image.
CommandResult ReleaseLint(FileSystem& files, const ReleaseLintOptions& options);

void AddLintCommand(CLI::App& release, CommandSink& sink);

}  // namespace sallyport::server
