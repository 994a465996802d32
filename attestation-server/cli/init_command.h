// `sallyport init`: the keys, first repositories, first operator and configuration of a new trust
// domain.
#pragma once

#include <string>

#include "attestation-server/cli/command.h"

namespace sallyport::server {

struct InitOptions {
  std::string directory;
  std::string trust_domain;
  std::string operator_name = "admin";
  std::string server_name = "control";
  std::string host = "127.0.0.1";
  unsigned base_port = 15010;  // enrol, device, admin, content, http follow each other
  std::string evidence_lifetime = "1h";
  bool development = false;
  bool json = false;
};

// Init refuses a directory that holds a deployment (kAlreadyExists) and writes nothing then.
CommandResult Init(const InitOptions& options);

void AddInitCommand(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server
