// `sallyport release ...`: update keys, releases, signatures and publishing, offline and without a
// server.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "attestation-server/cli/command.h"
#include "attestation-server/cli/passphrase.h"
#include "pki/base/file_system.h"
#include "pki/base/time.h"

namespace sallyport::server {

// FleetFunction asks the service which releases run: "product/version", the commonest first.
using FleetFunction = std::function<Result<std::vector<std::string>>()>;

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
  std::vector<std::string> components = {};  // NAME=FILE
  std::vector<std::string> capsules = {};    // NAME=FILE@VERSION
  std::vector<std::string> allow = {};       // lint rules
  std::string install_by = {};               // RFC 3339; empty: no deadline
  std::string expires_in = "365d";
  std::vector<std::string> from = {};  // older releases that get a delta, or fleet[:N]
  FleetFunction fleet = {};            // null: `from` cannot say fleet
  bool encrypt = false;
  std::string content_key = {};  // file of the key; empty: PRODUCT-VERSION.content-key
  bool json = false;
};
struct ReleaseWithdrawOptions {
  std::string repository;
  std::string release;  // PRODUCT/VERSION
  std::string expires_in = "365d";
  bool json = false;
};
struct ReleaseSignOptions {
  std::string repository;
  std::string role = "targets";
  bool director = false;  // the director's root instead of the image repository
  std::string key;        // file or pkcs11: URI
  PassphraseSource passphrase = {};
  std::string digest = {};  // hex; the payload that the person expects to sign
  bool yes = false;         // do not ask
  bool json = false;
};
struct ReleasePublishOptions {
  std::string repository;
  bool director = false;
  std::string keys;  // folder with online/
  std::string online_passphrase_file = {};
  std::string content_key = {};  // file; for the service
  bool json = false;
};
struct ReleaseInspectOptions {
  std::string path;  // a repository or a release.json
  bool json = false;
};

// Each returns exit 1 for a clear no (threshold not met, foreign key, what a device would refuse),
// 2 for wrong input. Facts are one JSON object with `json`.
CommandResult ReleaseCreate(FileSystem& files, const ReleaseCreateOptions& options, UnixTime now);
// ReleaseWithdraw stages targets without a release, to be signed and published like any other
// change.
CommandResult ReleaseWithdraw(FileSystem& files, const ReleaseWithdrawOptions& options,
                              UnixTime now);
// ReleaseSign shows what it signs (ota/repository/review.h) and asks at a terminal. It is also how
// a person signs drafts of root, policy and teams; exit 0 says that this signature is in.
CommandResult ReleaseSign(FileSystem& files, Terminal& terminal, const ReleaseSignOptions& options);
CommandResult ReleasePublish(FileSystem& files, const ReleasePublishOptions& options, UnixTime now);
CommandResult ReleaseInspect(FileSystem& files, const ReleaseInspectOptions& options, UnixTime now);
CommandResult ReleaseList(FileSystem& files, const ReleaseInspectOptions& options, UnixTime now);

void AddReleaseCommands(CLI::App& app, CommandSink& sink, FleetFunction fleet = {});

}  // namespace sallyport::server
