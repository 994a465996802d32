// `release publish`, `policy sign` and `policy apply`: what was signed offline goes to the service.
#pragma once

#include "attestation-server/cli/command.h"

namespace sallyport::server {

// AddPublishCommands adds to the groups `release` and `policy`, which are registered before.
void AddPublishCommands(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server
