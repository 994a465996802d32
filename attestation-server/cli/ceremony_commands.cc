#include "attestation-server/cli/ceremony_commands.h"

#include "attestation-server/cli/release_command.h"
#include "ota/metadata/limits.h"
#include "ota/repository/ceremony.h"
#include "ota/repository/change_roles.h"
#include "ota/repository/keys.h"
#include "ota/repository/review.h"
#include "pki/crypto/pkcs11_key.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kTeamFileSizeMax = 64 << 20;  // held in memory; payloads are `release create`'s

Result<pki::KeyType> KeyTypeOf(const std::string& name) {
  if (name == "ed25519") return pki::KeyType::kEd25519;
  if (name == "p-256") return pki::KeyType::kP256;
  return Error{Reason::kInvalidArgument, "key type " + name + "; ed25519 or p-256", "key.type"};
}

Result<std::string> SealingOf(FileSystem& files, Terminal& terminal, bool unsealed,
                              const PassphraseSource& source, const std::string& what) {
  if (unsealed && source.given())
    return Error{Reason::kInvalidArgument, "--unsealed and a passphrase", "passphrase.unsealed"};
  if (unsealed) return std::string();
  return NewPassphrase(files, source, terminal, what);
}

Result<CommandResult> CreateKey(FileSystem& files, Terminal& terminal,
                                const ReleaseKeyOptions& options) {
  SP_TRY(const pki::KeyType type, KeyTypeOf(options.type));
  SP_TRY(const std::string passphrase,
         SealingOf(files, terminal, options.unsealed, options.passphrase, options.out));
  SP_TRY(const ota::Signer signer,
         ota::CreateKeyFile(files, options.out,
                            {.type = type, .passphrase = passphrase, .kdf = options.kdf}));
  return Done(options.json,
              JsonValue::Object({{"keyid", signer.id},
                                 {"type", options.type},
                                 {"file", options.out},
                                 {"public", options.out + ".pub"}}),
              signer.id + "  " + options.out + "\n");
}

Result<pki::PublicKey> PublicOf(FileSystem& files, Terminal& terminal,
                                const ReleasePublicOptions& options) {
  if (!pki::IsPkcs11Uri(options.key))
    if (const auto key = ota::LoadPublicKey(files, options.key)) return key;
  SP_TRY(std::string passphrase, ReadPassphrase(files, options.passphrase));
  if (passphrase.empty() && terminal.present()) {
    SP_TRY(passphrase, terminal.Ask("Passphrase or PIN of " + options.key + ": ", false));
  }
  SP_TRY(const ota::Signer signer, ota::LoadSigner(files, options.key, passphrase));
  return signer.key.public_key();
}

Result<CommandResult> ShowPublic(FileSystem& files, Terminal& terminal,
                                 const ReleasePublicOptions& options) {
  SP_TRY(const pki::PublicKey key, PublicOf(files, terminal, options));
  if (!options.out.empty()) SP_TRY(WriteFileAtomically(files, options.out, AsBytes(key.ToPem())));
  const std::string id = ota::KeyId(key);
  return Done(options.json,
              ota::WithMembers(ota::KeyToJson(key), {{"keyid", id}, {"pem", key.ToPem()}}),
              id + "\n" + (options.out.empty() ? key.ToPem() : std::string()));
}

Result<CommandResult> Found(FileSystem& files, Terminal& terminal,
                            const ReleaseFoundOptions& options, UnixTime now) {
  ota::CeremonyOptions ceremony{.trust_domain = options.trust_domain,
                                .development = options.development,
                                .threshold = options.threshold,
                                .offline_kdf = options.kdf,
                                .online_kdf = options.kdf};
  SP_TRY(ceremony.offline_passphrase,
         SealingOf(files, terminal, options.unsealed, options.passphrase, "the offline keys"));
  SP_TRY(ceremony.online_passphrase,
         ReadPassphrase(files, {.file = options.online_passphrase_file}));
  SP_TRY(ota::FoundUpdateTrust(files, options.keys, options.repository, ceremony, now));
  return Done(options.json,
              JsonValue::Object({{"repository", options.repository}, {"keys", options.keys}}),
              "repository " + options.repository + " founded\nmove " + options.keys +
                  "/offline off this machine\n");
}

Result<std::vector<pki::PublicKey>> LoadKeys(FileSystem& files,
                                             const std::vector<std::string>& paths) {
  std::vector<pki::PublicKey> out;
  for (const std::string& path : paths) {
    SP_TRY(auto key, ota::LoadPublicKey(files, path));
    out.push_back(std::move(key));
  }
  return out;
}

Result<ota::Role> TopRole(const std::string& name) {
  for (const ota::Role role : ota::kTopRoles)
    if (ota::RoleName(role) == name) return role;
  return Error{Reason::kInvalidArgument, "role " + name + "; root, timestamp, snapshot or targets",
               "root.role"};
}

// Staged reports the draft as those will see it who sign it.
Result<CommandResult> Staged(const ota::RepositoryFolder& folder, const std::string& role,
                             bool json) {
  SP_TRY(const ota::Review review, ota::ReviewStaged(folder, role));
  SP_TRY(const ota::SigningStatus status, ota::StatusOf(folder, role));
  return Done(json, ota::WithMembers(StatusJson(status), {{"review", ota::ReviewJson(review)}}),
              "staged\n" + ota::ReviewText(review) + StatusText(status));
}

Result<CommandResult> StageRoot(FileSystem& files, const ReleaseRootOptions& options,
                                UnixTime now) {
  SP_TRY(const Duration lifetime, ParseDuration(options.expires_in));
  std::vector<ota::RoleChange> changes;
  if (!options.role.empty()) {
    SP_TRY(const ota::Role role, TopRole(options.role));
    SP_TRY(auto add, LoadKeys(files, options.add));
    changes.push_back({role, std::move(add), options.remove, std::nullopt});
    if (options.threshold > 0) changes.back().threshold = options.threshold;
  } else if (!options.add.empty() || !options.remove.empty() || options.threshold > 0) {
    return Error{Reason::kInvalidArgument, "--add, --remove and --threshold need --role",
                 "root.role"};
  }
  ota::RepositoryFolder folder = FolderOf(files, options.repository, options.director);
  SP_TRY(ota::StageRoot(folder, changes, now + lifetime));
  return Staged(folder, "root", options.json);
}

Result<CommandResult> Delegate(FileSystem& files, const ReleaseDelegateOptions& options,
                               UnixTime now) {
  SP_TRY(const Duration lifetime, ParseDuration(options.expires_in));
  ota::RepositoryFolder folder(files, options.repository);
  if (options.remove) {
    SP_TRY(ota::StageUndelegation(folder, options.name, now + lifetime));
    return Staged(folder, "targets", options.json);
  }
  SP_TRY(auto keys, LoadKeys(files, options.keys));
  ota::TeamRole team{options.name, {std::move(keys), options.threshold}, options.paths};
  if (options.serial_min > 0 || options.serial_max > 0)
    team.serials = ota::SerialLimits{options.serial_min, options.serial_max};
  SP_TRY(ota::StageDelegation(folder, team, now + lifetime));
  return Staged(folder, "targets", options.json);
}

Result<CommandResult> AddFile(FileSystem& files, const ReleaseAddOptions& options, UnixTime now) {
  SP_TRY(const Duration lifetime, ParseDuration(options.expires_in));
  SP_TRY(const Bytes content, ReadFile(files, options.file, kTeamFileSizeMax));
  ota::RepositoryFolder folder(files, options.repository);
  SP_TRY(ota::StageTeamFile(folder, options.role, options.path, content, now + lifetime));
  return Staged(folder, options.role, options.json);
}

Result<CommandResult> Renew(FileSystem& files, const ReleaseRenewOptions& options, UnixTime now) {
  SP_TRY(const Duration lifetime, ParseDuration(options.expires_in));
  ota::RepositoryFolder folder(files, options.repository);
  for (const std::string_view other : {"root", "timestamp", "snapshot"})
    if (options.role == other)
      return Error{Reason::kInvalidArgument,
                   "a root is renewed by `release root`, timestamp and snapshot by publishing",
                   "renew.role"};
  SP_TRY(folder.Published(options.role));
  SP_TRY(folder.StageTargets(options.role, {}, now + lifetime));
  return Staged(folder, options.role, options.json);
}

Result<CommandResult> Merge(FileSystem& files, const ReleaseMergeOptions& options) {
  ota::RepositoryFolder folder = FolderOf(files, options.repository, options.director);
  for (const std::string& file : options.files) {
    SP_TRY(const Bytes document, ReadFile(files, file, ota::kTargetsSizeMax));
    auto merged = ota::MergeSignatures(folder, options.role, document);
    if (!merged) return std::move(merged).error().WithContext(file);
  }
  SP_TRY(const ota::SigningStatus status, ota::StatusOf(folder, options.role));
  return Done(options.json, StatusJson(status), StatusText(status));
}

void AddKeysCreate(CLI::App& keys, CommandSink& sink) {
  CLI::App* const create = keys.add_subcommand("create", "Make one sealed key file");
  create->footer(
      "Examples:\n  sallyport release keys create --out root-4.pem\n  sallyport release keys "
      "create --out root-4.pem --type p-256 --passphrase-file pass.txt");
  const auto options = std::make_shared<ReleaseKeyOptions>();
  create->add_option("--out", options->out, "Key file to write; the public half is FILE.pub")
      ->required();
  create->add_option("--type", options->type, "ed25519 or p-256");
  AddPassphraseOptions(create, options->passphrase, "the passphrase that seals the key");
  create->add_flag("--unsealed", options->unsealed, "Write the key without a passphrase");
  AddReleaseCommand(create, sink, options, [](FileSystem& files, const auto& o, UnixTime) {
    ControllingTerminal terminal;
    return ReleaseKeysCreate(files, terminal, o);
  });
}

void AddKeysPublic(CLI::App& keys, CommandSink& sink) {
  CLI::App* const command =
      keys.add_subcommand("public", "Show the key id and public half of a key file or token key");
  command->footer(
      "Examples:\n  sallyport release keys public --key root-4.pem.pub\n  sallyport release keys "
      "public --key 'pkcs11:token=release;object=root-1' --out root-1.pub");
  const auto options = std::make_shared<ReleasePublicOptions>();
  command->add_option("--key", options->key, "Key file, public or private, or pkcs11: URI")
      ->required();
  command->add_option("--out", options->out, "Write the public key (PEM) to this file");
  AddPassphraseOptions(command, options->passphrase,
                       "the passphrase of the key, or the token's PIN");
  AddReleaseCommand(command, sink, options, [](FileSystem& files, const auto& o, UnixTime) {
    ControllingTerminal terminal;
    return ReleaseKeysPublic(files, terminal, o);
  });
}

void AddKeysFound(CLI::App& keys, CommandSink& sink) {
  CLI::App* const found = keys.add_subcommand("found", "Make every update key and the first roots");
  found->footer(
      "Example:\n  sallyport release keys found --keys keys --repository repo --trust-domain "
      "edge.example --passphrase-file pass.txt");
  const auto options = std::make_shared<ReleaseFoundOptions>();
  found->add_option("--keys", options->keys, "Folder for the keys")->required();
  found->add_option("--repository", options->repository, "Folder for the repository")->required();
  found->add_option("--trust-domain", options->trust_domain, "Trust domain, part of both roots")
      ->required();
  found->add_flag("--development", options->development,
                  "A development repository; cannot be switched on later");
  found->add_option("--threshold", options->threshold,
                    "Signatures needed from people (1 in development only)");
  AddPassphraseOptions(found, options->passphrase, "the passphrase that seals the offline keys");
  found->add_flag("--unsealed", options->unsealed, "Write the offline keys without a passphrase");
  found->add_option("--online-passphrase-file", options->online_passphrase_file,
                    "Seals the online keys");
  AddReleaseCommand(found, sink, options, [](FileSystem& files, const auto& o, UnixTime now) {
    ControllingTerminal terminal;
    return ReleaseKeysFound(files, terminal, o, now);
  });
}

void AddRoot(CLI::App& release, CommandSink& sink) {
  CLI::App* const root = release.add_subcommand(
      "root", "Stage the next root: renew it, add or revoke a signer, change a threshold");
  root->footer(
      "Examples:\n  sallyport release root --repository repo\n  sallyport release root "
      "--repository repo --role root --add root-4.pem.pub --remove KEYID\n  sallyport release root "
      "--repository repo --role targets --threshold 3 --add targets-3.pem.pub\n  sallyport release "
      "root --repository repo --director --role targets --add new.pem.pub --remove KEYID");
  const auto options = std::make_shared<ReleaseRootOptions>();
  root->add_option("--repository", options->repository, "Repository folder")->required();
  root->add_flag("--director", options->director, "The director's root instead");
  root->add_option("--role", options->role, "root, timestamp, snapshot or targets");
  root->add_option("--add", options->add, "Public key file of a signer to add");
  root->add_option("--remove", options->remove, "Key id of a signer to revoke");
  root->add_option("--threshold", options->threshold, "Signatures that the role needs from now on");
  root->add_option("--expires-in", options->expires_in, "How long this root shall be valid");
  AddReleaseCommand(root, sink, options, &ReleaseRoot);
}

void AddDelegate(CLI::App& release, CommandSink& sink) {
  CLI::App* const command =
      release.add_subcommand("delegate", "Stage a role of a team, or take it out");
  command->footer(
      "Examples:\n  sallyport release delegate --repository repo --name maps --path 'maps/*' --key "
      "maps-1.pem.pub --key maps-2.pem.pub --threshold 2\n  sallyport release delegate "
      "--repository "
      "repo --name maps --remove");
  const auto options = std::make_shared<ReleaseDelegateOptions>();
  command->add_option("--repository", options->repository, "Repository folder")->required();
  command->add_option("--name", options->name, "Name of the role")->required();
  command->add_option("--path", options->paths, "Target paths it signs; * and ? never match /");
  command->add_option("--key", options->keys, "Public key file of a signer");
  command->add_option("--threshold", options->threshold, "Signatures that the role needs");
  command->add_option("--serial-min", options->serial_min,
                      "For offline media: first serial of a bundle that devices accept");
  command->add_option("--serial-max", options->serial_max,
                      "For offline media: last serial of a bundle that devices accept");
  command->add_flag("--remove", options->remove, "Take the role out");
  command->add_option("--expires-in", options->expires_in, "How long targets shall be valid");
  AddReleaseCommand(command, sink, options, &ReleaseDelegate);
}

void AddAdd(CLI::App& release, CommandSink& sink) {
  CLI::App* const command = release.add_subcommand("add", "Stage one file of a team's role");
  command->footer(
      "Example:\n  sallyport release add --repository repo --role maps --path maps/berlin.bin "
      "--file berlin.bin");
  const auto options = std::make_shared<ReleaseAddOptions>();
  command->add_option("--repository", options->repository, "Repository folder")->required();
  command->add_option("--role", options->role, "The team's role")->required();
  command->add_option("--path", options->path, "Target path")->required();
  command->add_option("--file", options->file, "The file")->required();
  command->add_option("--expires-in", options->expires_in, "How long the role shall be valid");
  AddReleaseCommand(command, sink, options, &ReleaseAdd);
}

void AddRenew(CLI::App& release, CommandSink& sink) {
  CLI::App* const renew = release.add_subcommand(
      "renew", "Stage a role again with a later end, e.g. for new signers or before it expires");
  renew->footer("Example:\n  sallyport release renew --repository repo --role targets");
  const auto options = std::make_shared<ReleaseRenewOptions>();
  renew->add_option("--repository", options->repository, "Repository folder")->required();
  renew->add_option("--role", options->role, "targets, policy or the role of a team");
  renew->add_option("--expires-in", options->expires_in, "How long the role shall be valid");
  AddReleaseCommand(renew, sink, options, &ReleaseRenew);
}

void AddMerge(CLI::App& release, CommandSink& sink) {
  CLI::App* const merge = release.add_subcommand(
      "merge", "Take over signatures that other copies of a draft collected");
  merge->footer(
      "Example:\n  sallyport release merge --repository repo --role root alice/root.json "
      "bob/root.json");
  const auto options = std::make_shared<ReleaseMergeOptions>();
  merge->add_option("--repository", options->repository, "Repository folder")->required();
  merge->add_option("--role", options->role, "targets, root, policy or the role of a team");
  merge->add_flag("--director", options->director, "The director's root instead");
  merge->add_option("files", options->files, "staged/<role>.json of the other copies")->required();
  AddReleaseCommand(merge, sink, options, [](FileSystem& files, const auto& o, UnixTime) {
    return ReleaseMerge(files, o);
  });
}

}  // namespace

CommandResult ReleaseKeysCreate(FileSystem& files, Terminal& terminal,
                                const ReleaseKeyOptions& options) {
  return Run(options.json, [&] { return CreateKey(files, terminal, options); });
}
CommandResult ReleaseKeysPublic(FileSystem& files, Terminal& terminal,
                                const ReleasePublicOptions& options) {
  return Run(options.json, [&] { return ShowPublic(files, terminal, options); });
}
CommandResult ReleaseKeysFound(FileSystem& files, Terminal& terminal,
                               const ReleaseFoundOptions& options, UnixTime now) {
  return Run(options.json, [&] { return Found(files, terminal, options, now); });
}
CommandResult ReleaseRoot(FileSystem& files, const ReleaseRootOptions& options, UnixTime now) {
  return Run(options.json, [&] { return StageRoot(files, options, now); });
}
CommandResult ReleaseDelegate(FileSystem& files, const ReleaseDelegateOptions& options,
                              UnixTime now) {
  return Run(options.json, [&] { return Delegate(files, options, now); });
}
CommandResult ReleaseAdd(FileSystem& files, const ReleaseAddOptions& options, UnixTime now) {
  return Run(options.json, [&] { return AddFile(files, options, now); });
}
CommandResult ReleaseRenew(FileSystem& files, const ReleaseRenewOptions& options, UnixTime now) {
  return Run(options.json, [&] { return Renew(files, options, now); });
}
CommandResult ReleaseMerge(FileSystem& files, const ReleaseMergeOptions& options) {
  return Run(options.json, [&] { return Merge(files, options); });
}

void AddCeremonyCommands(CLI::App& release, CommandSink& sink) {
  CLI::App* const keys = release.add_subcommand("keys", "Make update keys and found a repository");
  keys->require_subcommand(1);
  AddKeysCreate(*keys, sink);
  AddKeysPublic(*keys, sink);
  AddKeysFound(*keys, sink);
  AddRoot(release, sink);
  AddDelegate(release, sink);
  AddAdd(release, sink);
  AddRenew(release, sink);
  AddMerge(release, sink);
}

}  // namespace sallyport::server
