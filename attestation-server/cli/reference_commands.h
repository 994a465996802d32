// `sallyport reference ...`, and `sallyport device explain`, which names its commands.
#pragma once

#include "attestation-server/cli/command.h"
#include "attestation-server/cli/command_group.h"

namespace sallyport::server {

void AddReferenceCommands(CLI::App& app, CommandSink& sink);

// AddExplain adds `explain` to the group of devices.
void AddExplain(CommandGroup& group);

// AddExplainRelease adds `sallyport explain device X release Y`.
void AddExplainRelease(CLI::App& app, CommandSink& sink);

// ReleaseAnswer shows the service's answer; kYes for a certain yes alone. Pure.
CommandResult ReleaseAnswer(const std::string& json, bool as_json);

// ExplanationText is the answer of the service in sentences. Pure.
std::string ExplanationText(std::string_view json);

}  // namespace sallyport::server
