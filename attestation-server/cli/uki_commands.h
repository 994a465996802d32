// `sallyport uki measure`: what an image will make firmware and systemd-stub measure, without a
// server.
#pragma once

#include <string>

#include "attestation-server/cli/command.h"
#include "pki/base/file_system.h"

namespace sallyport::server {

struct UkiMeasureOptions {
  std::string file;
  bool phases = false;  // PCR 11 after every boot phase, not only in the initrd
  bool json = false;
};

// MeasureUkiFile reads a UKI or another PE image. Exit code 2 with the reader's rule when it is
// neither.
CommandResult MeasureUkiFile(FileSystem& files, const UkiMeasureOptions& options);

void AddUkiCommands(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server
