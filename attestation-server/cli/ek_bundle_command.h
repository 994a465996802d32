// `sallyport ek bundle import`: pin the CA certificates of TPM vendors for a profile of the
// service.
#pragma once

#include "attestation-server/cli/command.h"

namespace sallyport::server {

// ShowEkBundle prints the service's report: exit code 0 when the bundle is in force, 1 when nothing
// was imported because of what the report names.
CommandResult ShowEkBundle(const std::string& report, bool json);

// AddEkBundleCommand adds to the group `ek`, which is registered before.
void AddEkBundleCommand(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server
