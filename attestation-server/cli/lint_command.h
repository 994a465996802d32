// `sallyport release lint`: says before a release is made what its image will cost.
#pragma once

#include "attestation-server/cli/command.h"
#include "ota/payload/image_lint.h"
#include "pki/base/file_system.h"
#include "pki/base/json.h"

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

// LintForRelease is what `release create` says of its image. kPolicyDenied with the rule of the
// first finding that refuses the image and is not in `allowed`; kInvalidArgument, lint.rule, when
// `allowed` names something else than a rule that refuses.
Result<ota::LintReport> LintForRelease(FileSystem& files, const std::string& image,
                                       const std::vector<std::string>& allowed);
JsonValue LintJson(const ota::LintReport& report, bool compared);
std::string LintText(const ota::LintReport& report, bool compared);

void AddLintCommand(CLI::App& release, CommandSink& sink);

}  // namespace sallyport::server
