// `sallyport release ...`: update keys, releases, signatures and publishing, offline and without a
// server.
#pragma once

#include <string>
#include <vector>

#include "attestation-server/cli/command.h"
#include "pki/base/file_system.h"
#include "pki/base/time.h"

namespace sallyport::server {

// Passphrase files hold one line; an empty name means an unsealed key.
struct ReleaseKeyOptions {
  std::string out;
  std::string passphrase_file = {};
  bool json = false;
};
struct ReleaseFoundOptions {
  std::string keys;
  std::string repository;
  std::string trust_domain;
  bool development = false;
  size_t threshold = 2;
  std::string passphrase_file = {};
  std::string online_passphrase_file = {};
  bool json = false;
};
struct ReleaseCreateOptions {
  std::string repository;
  std::string product;
  std::string version;
  std::string min_version = "0";
  std::vector<std::string> hardware;
  uint64_t rollback_index = 0;
  bool security_floor = false;
  std::string uki;
  std::string image;
  std::string expires_in = "365d";
  bool json = false;
};
struct ReleaseSignOptions {
  std::string repository;
  std::string role = "targets";
  std::string key;
  std::string passphrase_file = {};
  bool json = false;
};
struct ReleasePublishOptions {
  std::string repository;
  std::string keys;  // folder with online/
  std::string online_passphrase_file = {};
  bool json = false;
};
struct ReleaseInspectOptions {
  std::string path;  // a repository or a release.json
  bool json = false;
};

// Each returns exit 1 for a clear no (threshold not met, foreign key, what a device would refuse),
// 2 for wrong input. Facts are one JSON object with `json`.
CommandResult ReleaseKeysCreate(FileSystem& files, const ReleaseKeyOptions& options);
CommandResult ReleaseKeysFound(FileSystem& files, const ReleaseFoundOptions& options, UnixTime now);
CommandResult ReleaseCreate(FileSystem& files, const ReleaseCreateOptions& options, UnixTime now);
// ReleaseSign is also how a person signs root or policy drafts; exit 0 says that this signature is
// in.
CommandResult ReleaseSign(FileSystem& files, const ReleaseSignOptions& options);
CommandResult ReleasePublish(FileSystem& files, const ReleasePublishOptions& options, UnixTime now);
CommandResult ReleaseInspect(FileSystem& files, const ReleaseInspectOptions& options, UnixTime now);
CommandResult ReleaseList(FileSystem& files, const ReleaseInspectOptions& options, UnixTime now);

void AddReleaseCommands(CLI::App& app, CommandSink& sink);

}  // namespace sallyport::server
