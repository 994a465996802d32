// `sallyport audit tail|verify|export`.
#pragma once

#include "attestation-server/cli/command.h"

namespace sallyport::server {

void AddAuditCommands(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server
