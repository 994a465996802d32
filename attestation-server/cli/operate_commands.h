// Commands that ask a running service: device, token, policy apply, reference, rollout, audit, ca,
// status.
#pragma once

#include "attestation-server/cli/command.h"

namespace sallyport::server {

// RunningReleases asks the service of the operator's context: "product/version", the commonest
// first.
Result<std::vector<std::string>> RunningReleases();

void AddOperateCommands(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server
