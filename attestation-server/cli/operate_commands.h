// Commands that ask a running service: device, token, policy apply, reference, rollout, audit, ca,
// status.
#pragma once

#include "attestation-server/cli/command.h"

namespace sallyport::server {

void AddOperateCommands(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server
