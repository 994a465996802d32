// `sallyport release keys|root|delegate|add|renew|merge`: who may sign updates, decided by files
// that people carry to and from machines without a network.
#pragma once

#include <string>
#include <vector>

#include "attestation-server/cli/command.h"
#include "attestation-server/cli/passphrase.h"
#include "pki/base/time.h"
#include "pki/crypto/key_wrap.h"

namespace sallyport::server {

struct ReleaseKeyOptions {
  std::string out;
  std::string type = "ed25519";  // or p-256
  PassphraseSource passphrase = {};
  bool unsealed = false;
  pki::KdfParams kdf = {};
  bool json = false;
};
struct ReleasePublicOptions {
  std::string key;  // private or public key file, or a pkcs11: URI
  std::string out = {};
  PassphraseSource passphrase = {};
  bool json = false;
};
struct ReleaseFoundOptions {
  std::string keys;
  std::string repository;
  std::string trust_domain;
  bool development = false;
  size_t threshold = 2;
  PassphraseSource passphrase = {};
  bool unsealed = false;
  std::string online_passphrase_file = {};
  pki::KdfParams kdf = {};
  bool json = false;
};
struct ReleaseRootOptions {
  std::string repository;
  bool director = false;
  std::string role = {};
  std::vector<std::string> add = {};     // public key files
  std::vector<std::string> remove = {};  // key ids
  size_t threshold = 0;                  // 0: unchanged
  std::string expires_in = "365d";
  bool json = false;
};
struct ReleaseDelegateOptions {
  std::string repository;
  std::string name;
  std::vector<std::string> keys = {};  // public key files
  std::vector<std::string> paths = {};
  size_t threshold = 2;
  uint64_t serial_min = 0;  // 0: no role for offline media
  uint64_t serial_max = 0;
  bool remove = false;
  std::string expires_in = "365d";
  bool json = false;
};
struct ReleaseAddOptions {
  std::string repository;
  std::string role;
  std::string path;
  std::string file;
  std::string expires_in = "90d";
  bool json = false;
};
struct ReleaseRenewOptions {
  std::string repository;
  std::string role = "targets";
  std::string expires_in = "365d";
  bool json = false;
};
struct ReleaseMergeOptions {
  std::string repository;
  std::string role = "targets";
  bool director = false;
  std::vector<std::string> files;
  bool json = false;
};

// Each returns exit 1 for a clear no, 2 for wrong input. Nothing is published; see ReleasePublish.
CommandResult ReleaseKeysCreate(FileSystem& files, Terminal& terminal,
                                const ReleaseKeyOptions& options);
CommandResult ReleaseKeysPublic(FileSystem& files, Terminal& terminal,
                                const ReleasePublicOptions& options);
CommandResult ReleaseKeysFound(FileSystem& files, Terminal& terminal,
                               const ReleaseFoundOptions& options, UnixTime now);
CommandResult ReleaseRoot(FileSystem& files, const ReleaseRootOptions& options, UnixTime now);
CommandResult ReleaseDelegate(FileSystem& files, const ReleaseDelegateOptions& options,
                              UnixTime now);
CommandResult ReleaseAdd(FileSystem& files, const ReleaseAddOptions& options, UnixTime now);
CommandResult ReleaseRenew(FileSystem& files, const ReleaseRenewOptions& options, UnixTime now);
CommandResult ReleaseMerge(FileSystem& files, const ReleaseMergeOptions& options);

void AddCeremonyCommands(CLI::App& release, CommandSink& sink);

}  // namespace sallyport::server
