// `sallyport id check`: the SPIFFE-ID standard, without a server.
#pragma once

#include <string>
#include <vector>

#include "attestation-server/cli/command.h"

namespace sallyport::server {

// CheckIds prints one line (or JSON object) per id; exit code 1 when any is invalid.
CommandResult CheckIds(const std::vector<std::string>& ids, bool json);

void AddIdentityCommands(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server
