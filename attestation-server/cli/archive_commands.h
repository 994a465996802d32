// `sallyport evidence replay-verdict` and `sallyport audit verify --export`: an audit export, read
// without a server.
#pragma once

#include <string>

#include "attestation-server/cli/command.h"
#include "pki/base/file_system.h"

namespace sallyport::server {

struct ArchiveOptions {
  std::string folder = ".";
  std::string trust_bundle = {};  // file; empty: the export's own
  std::string verdict = {};       // replay-verdict only
  bool json = false;
};

// ReplayVerdict: exit code 0 when the verdict is the same, 1 when it is another, 2 when the export
// does not give it (changed, missing, not kept).
CommandResult ReplayVerdict(FileSystem& files, const ArchiveOptions& options);

// CheckExport: exit code 0 when everything hangs together, 1 when not, 2 when the folder or the
// trust bundle is not readable.
CommandResult CheckExport(FileSystem& files, const ArchiveOptions& options);

// AddReplayVerdict adds the command to `evidence`.
void AddReplayVerdict(CLI::App& evidence, CommandSink& sink);

}  // namespace sallyport::server
