// Which server the CLI talks to, and as whom. Contexts are like kubectl's: a file with several, one
// current.
#pragma once

#include <string>

#include "pki/base/file_system.h"
#include "pki/base/result.h"

namespace sallyport::server {

// Context is everything an operator's connection needs. Paths are absolute or relative to the file.
struct Context {
  std::string server;        // host:port of the admin listener
  std::string server_id;     // SPIFFE id the server must present
  std::string trust_bundle;  // file
  std::string certificate;   // file, PEM
  std::string private_key;   // file, PEM
};

// ServerChoice is what the command line said; empty members were not given.
struct ServerChoice {
  std::string server;
  std::string config;
};

// ParseContexts reads the text of a config file (`sallyport: contexts/v1`) and returns its current
// context. kMalformed ("config") with file:line:column in the detail. Relative paths are resolved
// beside the file.
Result<Context> ParseContexts(std::string_view text, const std::string& file);

// LoadContext: --config, else SALLYPORT_CONFIG, else ~/.config/sallyport/config.yaml; then --server
// or SALLYPORT_SERVER replaces the address. kNotFound says how to make one.
Result<Context> LoadContext(FileSystem& files, const ServerChoice& choice);

}  // namespace sallyport::server
