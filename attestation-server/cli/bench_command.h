// `sallyport bench`: what enrolments, renewals and reconnects cost this machine. The load generator
// is a program of its own, sallyport-bench, beside this one: an operator's tool holds no software
// TPMs.
#pragma once

#include <string>
#include <vector>

#include "attestation-server/cli/command.h"

namespace sallyport::server {

// RunBench replaces this process by `program` with `arguments`; returns only when it cannot:
// kNotFound ("bench.missing").
Error RunBench(const std::string& program, std::vector<std::string> arguments);

void AddBenchCommands(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server
