#include "attestation-server/cli/release_commands.h"

#include <CLI/CLI.hpp>

#include "ota/metadata/limits.h"
#include "ota/metadata/release.h"
#include "ota/repository/ceremony.h"
#include "ota/repository/create.h"
#include "ota/repository/inspect.h"
#include "ota/repository/keys.h"
#include "ota/repository/sign.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kPassphraseSizeMax = 1024;  // a sentence; anything longer is the wrong file

Result<std::string> ReadPassphrase(FileSystem& files, const std::string& path) {
  if (path.empty()) return std::string();
  SP_TRY(const Bytes bytes, ReadFile(files, path, kPassphraseSizeMax));
  std::string text = ToString(bytes);
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  if (text.empty())
    return Error{Reason::kInvalidArgument, path + ": no passphrase in it", "passphrase.empty"};
  return text;
}

// Done prints `facts` as JSON, or `text`.
CommandResult Done(bool json, const JsonValue& facts, std::string text) {
  return {ExitCode::kYes, json ? WriteJson(facts) + "\n" : std::move(text), ""};
}

// Run turns the outcome of one command into what is printed.
template <typename Body>
CommandResult Run(bool json, const Body& body) {
  Result<CommandResult> result = body();
  return result ? *std::move(result) : Failure(result.error(), json);
}

Result<CommandResult> CreateKey(FileSystem& files, const ReleaseKeyOptions& options) {
  SP_TRY(const std::string passphrase, ReadPassphrase(files, options.passphrase_file));
  SP_TRY(const pki::PublicKey key, ota::CreateKeyFile(files, options.out, passphrase));
  const std::string id = ota::KeyId(key);
  return Done(options.json, JsonValue::Object({{"keyid", id}, {"file", options.out}}),
              id + "  " + options.out + "\n");
}

Result<CommandResult> Found(FileSystem& files, const ReleaseFoundOptions& options, UnixTime now) {
  ota::CeremonyOptions ceremony{.trust_domain = options.trust_domain,
                                .development = options.development,
                                .threshold = options.threshold};
  SP_TRY(ceremony.offline_passphrase, ReadPassphrase(files, options.passphrase_file));
  SP_TRY(ceremony.online_passphrase, ReadPassphrase(files, options.online_passphrase_file));
  SP_TRY(ota::FoundUpdateTrust(files, options.keys, options.repository, ceremony, now));
  return Done(options.json,
              JsonValue::Object({{"repository", options.repository}, {"keys", options.keys}}),
              "repository " + options.repository + " founded\nmove " + options.keys +
                  "/offline off this machine\n");
}

Result<CommandResult> Create(FileSystem& files, const ReleaseCreateOptions& options, UnixTime now) {
  SP_TRY(ota::ReleaseVersion version, ota::ReleaseVersion::Parse(options.version));
  SP_TRY(ota::ReleaseVersion min_version, ota::ReleaseVersion::Parse(options.min_version));
  SP_TRY(const Duration lifetime, ParseDuration(options.expires_in));
  ota::RepositoryFolder folder(files, options.repository);
  const ota::ReleaseInputs inputs{.product = options.product,
                                  .version = std::move(version),
                                  .min_version = std::move(min_version),
                                  .hardware = options.hardware,
                                  .rollback_index = options.rollback_index,
                                  .security_floor = options.security_floor,
                                  .uki_path = options.uki,
                                  .image_path = options.image};
  SP_TRY(const ota::Release release, ota::CreateRelease(folder, inputs, now + lifetime));
  SP_TRY(const JsonValue facts, ota::InspectRelease(AsBytes(ota::WriteRelease(release))));
  return Done(options.json, facts,
              release.product + " " + release.version.text() + " staged, release digest " +
                  *facts.Find("digest")->if_string() + "\n");
}

JsonValue StatusJson(const ota::SigningStatus& status) {
  return JsonValue::Object({{"role", status.role},
                            {"version", status.version},
                            {"signatures", status.signatures},
                            {"threshold", status.threshold},
                            {"missing", JsonValue::Strings(status.missing)},
                            {"ready", status.ready}});
}

Result<CommandResult> Sign(FileSystem& files, const ReleaseSignOptions& options) {
  SP_TRY(const std::string passphrase, ReadPassphrase(files, options.passphrase_file));
  SP_TRY(const ota::Signer signer, ota::LoadSigner(files, options.key, passphrase));
  ota::RepositoryFolder folder(files, options.repository);
  SP_TRY(const ota::SigningStatus status, ota::SignStaged(folder, options.role, signer));
  return Done(options.json, StatusJson(status),
              status.role + " version " + std::to_string(status.version) + ": " +
                  std::to_string(status.signatures) + " of " + std::to_string(status.threshold) +
                  " signatures" + (status.ready ? ", ready to publish\n" : "\n"));
}

Result<CommandResult> PublishAll(FileSystem& files, const ReleasePublishOptions& options,
                                 UnixTime now) {
  SP_TRY(const std::string passphrase, ReadPassphrase(files, options.online_passphrase_file));
  SP_TRY(const ota::OnlineKeys keys, ota::LoadOnlineKeys(files, options.keys, passphrase));
  ota::RepositoryFolder folder(files, options.repository);
  SP_TRY(const auto draft, folder.Published("root"));
  SP_TRY(const ota::Root root, ota::DraftRoot(draft));
  const std::string trust_domain = root.profile ? root.profile->trust_domain : std::string();
  SP_TRY(const ota::PublishReport report, ota::Publish(folder, trust_domain, keys, {}, now));
  std::string text;
  for (const std::string& name : report.published) text += "published " + name + "\n";
  return Done(options.json,
              JsonValue::Object({{"published", JsonValue::Strings(report.published)}}), text);
}

std::string RolesText(const JsonValue& facts) {
  std::string out;
  for (const JsonMember& role : *facts.Find("roles")->if_object()) {
    const JsonCursor cursor(role.value);
    out += role.key + "  version " + std::to_string(cursor.GetInteger("version").value()) +
           "  threshold " + std::to_string(cursor.GetInteger("threshold").value()) + "  expires " +
           std::string(cursor.GetString("expires").value()) +
           (cursor.GetBool("expired")->value ? "  EXPIRED\n" : "\n");
  }
  return out;
}

std::string ReleasesText(const JsonValue& facts) {
  std::string out;
  for (const JsonValue& release : *facts.Find("releases")->if_array()) {
    const JsonCursor cursor(release);
    out += "release " + std::string(cursor.GetString("product").value()) + " " +
           std::string(cursor.GetString("version").value()) + "  " +
           std::string(cursor.GetString("digest").value()) + "\n";
  }
  return out;
}

Result<CommandResult> Inspect(FileSystem& files, const ReleaseInspectOptions& options,
                              UnixTime now) {
  if (options.path.ends_with(".json")) {
    SP_TRY(const Bytes json, ReadFile(files, options.path, ota::kReleaseSizeMax));
    SP_TRY(const JsonValue facts, ota::InspectRelease(json));
    return Done(options.json, facts, WriteJson(facts) + "\n");
  }
  SP_TRY(const JsonValue facts,
         ota::InspectRepository(ota::RepositoryFolder(files, options.path), now));
  std::string text = "trust domain " + *facts.Find("trust_domain")->if_string() +
                     (*facts.Find("development")->if_bool() ? "  DEVELOPMENT\n" : "\n");
  text += RolesText(facts) + ReleasesText(facts);
  for (const JsonValue& draft : *facts.Find("staged")->if_array())
    text += "staged " + WriteJson(draft) + "\n";
  return Done(options.json, facts, text);
}

Result<CommandResult> List(FileSystem& files, const ReleaseInspectOptions& options, UnixTime now) {
  SP_TRY(const JsonValue facts,
         ota::InspectRepository(ota::RepositoryFolder(files, options.path), now));
  return Done(options.json, JsonValue::Object({{"releases", *facts.Find("releases")}}),
              ReleasesText(facts));
}

// Adding: one subcommand each. `run` gets the parsed options, the files and the time.
template <typename Options, typename Body>
void Add(CLI::App* command, CommandSink& sink, const std::shared_ptr<Options>& options, Body body) {
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([&sink, options, body] {
    sink.Run([options, body] {
      PosixFileSystem files;
      return body(files, *options, RealClock().Wall());
    });
  });
}

void AddKeys(CLI::App& release, CommandSink& sink) {
  CLI::App* const keys = release.add_subcommand("keys", "Make update keys and found a repository");
  keys->require_subcommand(1);
  CLI::App* const create = keys->add_subcommand("create", "Make one Ed25519 key file");
  create->footer(
      "Example:\n  sallyport release keys create --out root-4.pem --passphrase-file pass.txt");
  const auto key = std::make_shared<ReleaseKeyOptions>();
  create->add_option("--out", key->out, "Key file to write; the public half gets the suffix .pub")
      ->required();
  create->add_option("--passphrase-file", key->passphrase_file,
                     "File with the passphrase that seals the key");
  Add(create, sink, key,
      [](FileSystem& files, const auto& o, UnixTime) { return ReleaseKeysCreate(files, o); });

  CLI::App* const found =
      keys->add_subcommand("found", "Make every update key and the first roots");
  found->footer(
      "Example:\n  sallyport release keys found --keys keys --repository repo --trust-domain "
      "edge.example");
  const auto options = std::make_shared<ReleaseFoundOptions>();
  found->add_option("--keys", options->keys, "Folder for the keys")->required();
  found->add_option("--repository", options->repository, "Folder for the repository")->required();
  found->add_option("--trust-domain", options->trust_domain, "Trust domain, part of both roots")
      ->required();
  found->add_flag("--development", options->development,
                  "A development repository; cannot be switched on later");
  found->add_option("--threshold", options->threshold,
                    "Signatures needed from people (1 in development only)");
  found->add_option("--passphrase-file", options->passphrase_file, "Seals the offline keys");
  found->add_option("--online-passphrase-file", options->online_passphrase_file,
                    "Seals the online keys");
  Add(found, sink, options, &ReleaseKeysFound);
}

void AddCreate(CLI::App& release, CommandSink& sink) {
  CLI::App* const create =
      release.add_subcommand("create", "Stage a release from a UKI and a root image");
  create->footer(
      "Example:\n  sallyport release create --repository repo --product edge-os --version 2.0.0 "
      "--hardware virtual-x86_64 --uki uki.efi --image root.img");
  const auto options = std::make_shared<ReleaseCreateOptions>();
  create->add_option("--repository", options->repository, "Repository folder")->required();
  create->add_option("--product", options->product, "Product name")->required();
  create->add_option("--version", options->version, "Dotted numbers")->required();
  create->add_option("--min-version", options->min_version,
                     "Smallest version that may update to this one");
  create->add_option("--hardware", options->hardware, "Hardware ids it runs on")->required();
  create->add_option("--rollback-index", options->rollback_index,
                     "Rises when older releases must not come back");
  create->add_flag("--security-floor", options->security_floor,
                   "Commit raises the device's rollback floor");
  create->add_option("--uki", options->uki, "Unified kernel image")->required();
  create->add_option("--image", options->image, "Root image")->required();
  create->add_option("--expires-in", options->expires_in,
                     "How long the role targets shall be valid, e.g. 365d");
  Add(create, sink, options, &ReleaseCreate);
}

void AddSign(CLI::App& release, CommandSink& sink) {
  CLI::App* const sign = release.add_subcommand("sign", "Add one signature to a staged role");
  sign->footer(
      "Example:\n  sallyport release sign --repository repo --key keys/offline/targets-1.pem");
  const auto options = std::make_shared<ReleaseSignOptions>();
  sign->add_option("--repository", options->repository, "Repository folder")->required();
  sign->add_option("--role", options->role, "targets, root or policy");
  sign->add_option("--key", options->key, "Private key file")->required();
  sign->add_option("--passphrase-file", options->passphrase_file,
                   "File with the passphrase of the key");
  Add(sign, sink, options,
      [](FileSystem& files, const auto& o, UnixTime) { return ReleaseSign(files, o); });
}

void AddInspect(CLI::App& release, CommandSink& sink) {
  CLI::App* const inspect =
      release.add_subcommand("inspect", "Show a repository or a release.json");
  inspect->footer(
      "Examples:\n  sallyport release inspect repo\n  sallyport release inspect release.json "
      "--json");
  const auto path = std::make_shared<ReleaseInspectOptions>();
  inspect->add_option("path", path->path, "Repository folder or release.json")->required();
  Add(inspect, sink, path, &ReleaseInspect);
  CLI::App* const list = release.add_subcommand("list", "List the published releases");
  list->footer("Example:\n  sallyport release list --repository repo");
  const auto repository = std::make_shared<ReleaseInspectOptions>();
  list->add_option("--repository", repository->path, "Repository folder")->required();
  Add(list, sink, repository, &ReleaseList);
}

}  // namespace

CommandResult ReleaseKeysCreate(FileSystem& files, const ReleaseKeyOptions& options) {
  return Run(options.json, [&] { return CreateKey(files, options); });
}
CommandResult ReleaseKeysFound(FileSystem& files, const ReleaseFoundOptions& options,
                               UnixTime now) {
  return Run(options.json, [&] { return Found(files, options, now); });
}
CommandResult ReleaseCreate(FileSystem& files, const ReleaseCreateOptions& options, UnixTime now) {
  return Run(options.json, [&] { return Create(files, options, now); });
}
CommandResult ReleaseSign(FileSystem& files, const ReleaseSignOptions& options) {
  return Run(options.json, [&] { return Sign(files, options); });
}
CommandResult ReleasePublish(FileSystem& files, const ReleasePublishOptions& options,
                             UnixTime now) {
  return Run(options.json, [&] { return PublishAll(files, options, now); });
}
CommandResult ReleaseInspect(FileSystem& files, const ReleaseInspectOptions& options,
                             UnixTime now) {
  return Run(options.json, [&] { return Inspect(files, options, now); });
}
CommandResult ReleaseList(FileSystem& files, const ReleaseInspectOptions& options, UnixTime now) {
  return Run(options.json, [&] { return List(files, options, now); });
}

void AddReleaseCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const release =
      app.add_subcommand("release", "Update keys, releases and their publishing");
  release->require_subcommand(1);
  AddKeys(*release, sink);
  AddCreate(*release, sink);
  AddSign(*release, sink);
  AddInspect(*release, sink);
}

}  // namespace sallyport::server
