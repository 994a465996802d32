// `sallyport release bundle`: updates by hand for devices without a network.
#pragma once

#include <string>

#include "attestation-server/cli/command.h"
#include "pki/base/file_system.h"
#include "pki/base/time.h"

namespace sallyport::server {

struct ReleaseBundleOptions {
  std::string repository;
  std::string role;
  std::string release = {};  // PRODUCT/VERSION: stage a statement
  uint64_t serial = 0;
  std::string expires_in = "180d";
  bool commit_locally = false;
  std::string out = {};  // folder: pack what is published
  bool json = false;
};

// ReleaseBundle stages the statement of a bundle, to be signed and published, or packs the
// published one; exactly one of `release` and `out`.
CommandResult ReleaseBundle(FileSystem& files, const ReleaseBundleOptions& options, UnixTime now);

void AddBundleCommand(CLI::App& release, CommandSink& sink);

}  // namespace sallyport::server
