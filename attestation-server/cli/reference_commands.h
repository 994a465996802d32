// `sallyport reference ...`, and `sallyport device explain`, which names its commands.
#pragma once

#include "attestation-server/cli/command.h"
#include "attestation-server/cli/command_group.h"

namespace sallyport::server {

void AddReferenceCommands(CLI::App& app, CommandSink& sink);

// AddExplain adds `explain` to the group of devices.
void AddExplain(CommandGroup& group);

// ExplanationText is the answer of the service in sentences. Pure.
std::string ExplanationText(std::string_view json);

}  // namespace sallyport::server
