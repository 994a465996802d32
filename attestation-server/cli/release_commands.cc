#include "attestation-server/cli/release_commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <map>

#include "attestation-server/cli/bundle_command.h"
#include "attestation-server/cli/ceremony_commands.h"
#include "attestation-server/cli/content_key_file.h"
#include "attestation-server/cli/progress.h"
#include "attestation-server/cli/lint_command.h"
#include "attestation-server/cli/release_command.h"
#include "ota/metadata/limits.h"
#include "ota/metadata/release.h"
#include "ota/repository/ceremony.h"
#include "ota/repository/change_roles.h"
#include "ota/repository/create.h"
#include "ota/repository/inspect.h"
#include "ota/repository/keys.h"
#include "ota/repository/review.h"

namespace sallyport::server {
namespace {

Result<std::vector<ota::ComponentInput>> ComponentsOf(const ReleaseCreateOptions& options) {
  std::vector<ota::ComponentInput> out;
  for (const auto* list : {&options.components, &options.capsules})
    for (const std::string& text : *list) {
      SP_TRY(ota::ComponentInput input, ota::ParseComponentInput(text, list == &options.capsules));
      out.push_back(std::move(input));
    }
  return out;
}

constexpr std::string_view kFleet = "fleet";
constexpr unsigned kFleetReleases = 3;  // most fleets run this or the two releases before

// FleetCount reads "fleet" or "fleet:N"; nullopt for anything else.
Result<std::optional<unsigned>> FleetCount(std::string_view from) {
  if (from == kFleet) return std::optional(kFleetReleases);
  if (!from.starts_with(std::string(kFleet) + ":")) return std::optional<unsigned>();
  const std::string_view text = from.substr(kFleet.size() + 1);
  unsigned count = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), count);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size() || count == 0 ||
      count > ota::kDeltasMax)
    return Error{Reason::kInvalidArgument, "expected fleet:1 to fleet:16", "release.from-fleet"};
  return std::optional(count);
}

Result<std::vector<std::string>> Running(const ReleaseCreateOptions& options, unsigned count) {
  if (!options.fleet)
    return Error{Reason::kInvalidArgument, "there is no service to ask", "release.from-fleet"};
  SP_TRY(std::vector<std::string> running, options.fleet());
  std::erase_if(running, [&](const std::string& release) {
    return !release.starts_with(options.product + "/");
  });
  running.resize(std::min<size_t>(running.size(), count));
  return running;
}

// OldReleases replaces fleet[:N] by what the fleet runs; a release named twice counts once.
Result<std::vector<std::string>> OldReleases(const ReleaseCreateOptions& options) {
  std::vector<std::string> out;
  for (const std::string& from : options.from) {
    SP_TRY(const std::optional<unsigned> count, FleetCount(from));
    std::vector<std::string> named = {from};
    if (count) {
      SP_TRY(named, Running(options, *count));
    }
    for (const std::string& release : named)
      if (std::ranges::find(out, release) == out.end()) out.push_back(release);
  }
  return out;
}

// InstallByOf reads a deadline, which must be ahead: one that has passed as the release is made
// would take the windows away that it is to leave.
Result<std::optional<UnixTime>> InstallByOf(const std::string& text, UnixTime now) {
  if (text.empty()) return std::optional<UnixTime>();
  const auto time = ParseRfc3339(text);
  if (!time)
    return Error{Reason::kInvalidArgument,
                 "--install-by expects a time such as 2026-12-01T12:00:00Z", "release.install-by"};
  if (*time <= now)
    return Error{Reason::kInvalidArgument, "--install-by " + text + " is not ahead",
                 "release.install-by-past"};
  return std::optional(UnixTime::FromSeconds(time->seconds()));
}

// In steps of this many per cent where it is no terminal, so that a log stays readable.
constexpr uint64_t kLogStep = 5;

// Megabytes reads "2.04 MB".
std::string Megabytes(uint64_t bytes) {
  constexpr uint64_t kHundredth = 10'000;
  const uint64_t hundredths = (bytes + kHundredth / 2) / kHundredth;
  const std::string rest = std::to_string(hundredths % 100);
  return std::to_string(hundredths / 100) + (rest.size() == 1 ? ".0" : ".") + rest + " MB";
}

ota::CreateProgress ShowProgress(std::map<std::string, ProgressLine>& lines) {
  return [&lines](const std::string& what, uint64_t done, uint64_t total) {
    auto line = lines.find(what);
    if (line == lines.end()) line = lines.emplace(what, ProgressLine(what)).first;
    const uint64_t step = line->second.terminal() ? 1 : kLogStep;
    const auto percent = static_cast<unsigned>(done * 100 / total / step * step);
    line->second.Update(percent, "of " + Megabytes(total));
    if (done == total) line->second.Finish();
  };
}

// What a device downloads: the index and what it describes.
uint64_t DownloadOf(const ota::ReleaseFile& index, const ota::ReleaseFile& payload) {
  return index.length + payload.length;
}

JsonValue SizesJson(const ota::Release& release) {
  std::vector<JsonValue> deltas;
  for (const ota::ReleaseDelta& delta : release.deltas)
    deltas.push_back(JsonValue::Object(
        {{"from", delta.from_version.text()}, {"bytes", DownloadOf(delta.index, delta.payload)}}));
  return JsonValue::Object({{"full", DownloadOf(release.image.index, release.image.payload)},
                            {"deltas", JsonValue::Array(std::move(deltas))}});
}

std::string SizesText(const ota::Release& release) {
  std::string out = "download in full " +
                    Megabytes(DownloadOf(release.image.index, release.image.payload)) + "\n";
  for (const ota::ReleaseDelta& delta : release.deltas)
    out += "download from " + delta.from_version.text() + " " +
           Megabytes(DownloadOf(delta.index, delta.payload)) + "\n";
  return out;
}

// SealFor is how the release is to be sealed; none without --encrypt.
struct SealFor {
  std::string key_file;
  std::optional<pki::ContentSeal> seal;
};

Result<SealFor> SealOf(FileSystem& files, const ReleaseCreateOptions& options) {
  if (!options.encrypt && !options.content_key.empty())
    return Error{Reason::kInvalidArgument, "--content-key needs --encrypt", "release.content-key"};
  if (!options.encrypt) return SealFor{};
  const std::string file = options.content_key.empty()
                               ? options.product + "-" + options.version + ".content-key"
                               : options.content_key;
  SystemRandom random;
  SP_TRY(const pki::ContentKey key, ReadOrMakeContentKey(files, file, random));
  return SealFor{file, pki::ContentSeal(key)};
}

std::string SealText(const SealFor& sealed) {
  if (!sealed.seal) return "";
  return "sealed under key " + HexEncode(sealed.seal->id()) + "; the key is in " + sealed.key_file +
         ": give it to the service with `release publish --content-key`\n";
}

Result<CommandResult> Create(FileSystem& files, const ReleaseCreateOptions& options, UnixTime now) {
  SP_TRY(ota::ReleaseVersion version, ota::ReleaseVersion::Parse(options.version));
  SP_TRY(ota::ReleaseVersion min_version, ota::ReleaseVersion::Parse(options.min_version));
  SP_TRY(const Duration lifetime, ParseDuration(options.expires_in));
  SP_TRY(auto components, ComponentsOf(options));
  SP_TRY(const auto install_by, InstallByOf(options.install_by, now));
  SP_TRY(std::vector<std::string> from, OldReleases(options));
  SP_TRY(const ota::LintReport lint, LintForRelease(files, options.image, options.allow));
  SP_TRY(const SealFor sealed, SealOf(files, options));
  ota::RepositoryFolder folder(files, options.repository);
  const ota::ReleaseInputs inputs{.product = options.product,
                                  .version = std::move(version),
                                  .min_version = std::move(min_version),
                                  .hardware = options.hardware,
                                  .rollback_index = options.rollback_index,
                                  .security_floor = options.security_floor,
                                  .uki_path = options.uki,
                                  .image_path = options.image,
                                  .components = std::move(components),
                                  .from = std::move(from),
                                  .install_by = install_by,
                                  .seal = sealed.seal ? &*sealed.seal : nullptr};
  std::map<std::string, ProgressLine> lines;
  SP_TRY(const ota::Release release,
         ota::CreateRelease(folder, inputs, now + lifetime, ShowProgress(lines)));
  SP_TRY(const JsonValue facts, ota::InspectRelease(AsBytes(ota::WriteRelease(release))));
  const std::string warnings = lint.findings.empty() ? "" : LintText(lint, false);
  return Done(
      options.json,
      ota::WithMembers(facts, {{"download", SizesJson(release)}, {"lint", LintJson(lint, false)}}),
      warnings + release.product + " " + release.version.text() + " staged, release digest " +
          *facts.Find("digest")->if_string() + "\n" + SizesText(release) + SealText(sealed));
}

Result<CommandResult> Withdraw(FileSystem& files, const ReleaseWithdrawOptions& options,
                               UnixTime now) {
  const size_t slash = options.release.find('/');
  if (slash == std::string::npos || !ota::IsProductName(options.release.substr(0, slash)))
    return Error{Reason::kInvalidArgument, "a release is named PRODUCT/VERSION", "release.name"};
  SP_TRY(const ota::ReleaseVersion version,
         ota::ReleaseVersion::Parse(options.release.substr(slash + 1)));
  SP_TRY(const Duration lifetime, ParseDuration(options.expires_in));
  ota::RepositoryFolder folder(files, options.repository);
  SP_TRY(ota::WithdrawRelease(folder, options.release.substr(0, slash), version, now + lifetime));
  SP_TRY(const ota::Review review, ota::ReviewStaged(folder, "targets"));
  SP_TRY(const ota::SigningStatus status, ota::StatusOf(folder, "targets"));
  return Done(options.json,
              ota::WithMembers(StatusJson(status), {{"review", ota::ReviewJson(review)}}),
              "staged\n" + ota::ReviewText(review) + StatusText(status));
}

// Agree asks the person, who has read the review, or compares with what they were told to sign.
Result<Unit> Agree(Terminal& terminal, const ReleaseSignOptions& options,
                   const ota::Review& review) {
  if (!options.digest.empty() && options.digest != HexEncode(review.payload))
    return Error{Reason::kMismatch,
                 "the staged payload is " + HexEncode(review.payload) + ", not the expected one",
                 "sign.digest-differs"};
  if (options.yes || !terminal.present()) return Ok();
  SP_TRY(const std::string answer,
         terminal.Ask(ota::ReviewText(review) + "Sign this with " + options.key + "? (yes/no) ",
                      true));
  if (answer == "yes") return Ok();
  return Error{Reason::kPolicyDenied, "not signed", "sign.declined"};
}

// SignerOf asks for the passphrase only when the key turns out to need one.
Result<ota::Signer> SignerOf(FileSystem& files, Terminal& terminal,
                             const ReleaseSignOptions& options) {
  SP_TRY(std::string passphrase, ReadPassphrase(files, options.passphrase));
  auto signer = ota::LoadSigner(files, options.key, passphrase);
  const bool asks = !signer && signer.error().reason == Reason::kBadSignature &&
                    passphrase.empty() && terminal.present();
  if (!asks) return signer;
  SP_TRY(passphrase, terminal.Ask("Passphrase or PIN of " + options.key + ": ", false));
  return ota::LoadSigner(files, options.key, passphrase);
}

Result<CommandResult> Sign(FileSystem& files, Terminal& terminal,
                           const ReleaseSignOptions& options) {
  ota::RepositoryFolder folder = FolderOf(files, options.repository, options.director);
  SP_TRY(const ota::Review review, ota::ReviewStaged(folder, options.role));
  SP_TRY(Agree(terminal, options, review));
  SP_TRY(const ota::Signer signer, SignerOf(files, terminal, options));
  SP_TRY(const ota::SigningStatus status, ota::SignReviewed(folder, review, signer));
  return Done(options.json,
              ota::WithMembers(StatusJson(status), {{"review", ota::ReviewJson(review)}}),
              ota::ReviewText(review) + StatusText(status));
}

Result<CommandResult> PublishDirector(FileSystem& files, const ReleasePublishOptions& options,
                                      UnixTime now) {
  ota::RepositoryFolder folder = ota::RepositoryFolder::Director(files, options.repository);
  SP_TRY(const auto draft, folder.Published("root"));
  SP_TRY(const ota::Root root, ota::DraftRoot(draft));
  const std::string trust_domain = root.profile ? root.profile->trust_domain : std::string();
  SP_TRY(const uint64_t version, ota::PublishDirectorRoot(folder, trust_domain, now));
  const std::string name = "director/" + std::to_string(version) + ".root.json";
  return Done(options.json, JsonValue::Object({{"published", JsonValue::Strings({name})}}),
              "published " + name + "\n");
}

Result<CommandResult> PublishAll(FileSystem& files, const ReleasePublishOptions& options,
                                 UnixTime now) {
  if (options.director) return PublishDirector(files, options, now);
  SP_TRY(const std::string passphrase,
         ReadPassphrase(files, {.file = options.online_passphrase_file}));
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

// The facts come from ParseRelease, so that everything is there.
std::string DeltasText(const JsonValue& release) {
  std::string out;
  const JsonValue* const deltas = release.Find("deltas");
  for (const JsonValue& delta :
       deltas == nullptr ? std::vector<JsonValue>() : *deltas->if_array()) {
    const int64_t bytes = *delta.Find("index")->Find("length")->if_integer() +
                          *delta.Find("payload")->Find("length")->if_integer();
    out += "  delta from " + *delta.Find("from")->Find("version")->if_string() + "  " +
           Megabytes(static_cast<uint64_t>(bytes)) + "\n";
  }
  return out;
}

std::string InstallByText(const JsonCursor& release) {
  const auto install_by = release.GetString("install_by");
  return install_by ? "  install by " + std::string(*install_by) : "";
}

std::string ReleasesText(const JsonValue& facts) {
  std::string out;
  for (const JsonValue& release : *facts.Find("releases")->if_array()) {
    const JsonCursor cursor(release);
    out += "release " + std::string(cursor.GetString("product").value()) + " " +
           std::string(cursor.GetString("version").value()) + "  " +
           std::string(cursor.GetString("digest").value()) + InstallByText(cursor) + "\n" +
           DeltasText(release);
    if (const JsonValue* const sealed = release.Find("sealed"))
      out += "  sealed, key " + *sealed->Find("key_id")->if_string() + "\n";
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

void AddCreate(CLI::App& release, CommandSink& sink, FleetFunction fleet) {
  CLI::App* const create =
      release.add_subcommand("create", "Stage a release from a UKI and a root image");
  create->footer(
      "Example:\n  sallyport release create --repository repo --product edge-os --version 2.0.0 "
      "--hardware virtual-x86_64 --uki uki.efi --image root.img --from edge-os/1.9.0");
  const auto options = std::make_shared<ReleaseCreateOptions>();
  options->fleet = std::move(fleet);
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
  create->add_option("--install-by", options->install_by,
                     "Security deadline (RFC 3339): from then on no window or site inhibitor of a "
                     "device holds the update up");
  create->add_option("--uki", options->uki, "Unified kernel image")->required();
  create->add_option("--image", options->image, "Root image")->required();
  create->add_option("--component", options->components,
                     "NAME=FILE: a file that comes with the image, e.g. an application bundle");
  create->add_option("--capsule", options->capsules,
                     "NAME=FILE@VERSION: an UEFI firmware capsule and the version it brings");
  create->add_option("--from", options->from,
                     "Older releases that get a delta: product/version of this repository, the raw "
                     "image of one, or fleet[:N], the N (3) that most devices run");
  create->add_flag("--encrypt", options->encrypt,
                   "Seal the image: only devices that are assigned the release can read it");
  create->add_option("--content-key", options->content_key,
                     "File of the content key; made when it is not there "
                     "(PRODUCT-VERSION.content-key)");
  create->add_option("--allow", options->allow,
                     "Lint rules that shall not refuse the image (release lint)");
  create->add_option("--expires-in", options->expires_in,
                     "How long the role targets shall be valid, e.g. 365d");
  AddReleaseCommand(create, sink, options, &ReleaseCreate);
}

void AddWithdraw(CLI::App& release, CommandSink& sink) {
  CLI::App* const withdraw = release.add_subcommand(
      "withdraw", "Stage targets without a release, so that no device is assigned it any more");
  withdraw->footer(
      "Example:\n  sallyport release withdraw --repository repo --release edge-os/2.0.0\nThen "
      "sign and publish as any other change. The files of the release stay in the folder.");
  const auto options = std::make_shared<ReleaseWithdrawOptions>();
  withdraw->add_option("--repository", options->repository, "Repository folder")->required();
  withdraw->add_option("--release", options->release, "PRODUCT/VERSION")->required();
  withdraw->add_option("--expires-in", options->expires_in,
                       "How long the role targets shall be valid, e.g. 365d");
  AddReleaseCommand(withdraw, sink, options, &ReleaseWithdraw);
}

void AddSign(CLI::App& release, CommandSink& sink) {
  CLI::App* const sign =
      release.add_subcommand("sign", "Show what is staged and add one signature to it");
  sign->footer(
      "Examples:\n  sallyport release sign --repository repo --key targets-1.pem\n  sallyport "
      "release sign --repository repo --role root --key "
      "'pkcs11:token=release;object=root-1?module-path=/usr/lib/softhsm/libsofthsm2.so'");
  const auto options = std::make_shared<ReleaseSignOptions>();
  sign->add_option("--repository", options->repository, "Repository folder")->required();
  sign->add_option("--role", options->role, "targets, root, policy or the role of a team");
  sign->add_flag("--director", options->director, "The director's root instead (with --role root)");
  sign->add_option("--key", options->key, "Private key file or pkcs11: URI")->required();
  AddPassphraseOptions(sign, options->passphrase, "the passphrase of the key, or the token's PIN");
  sign->add_option("--digest", options->digest,
                   "Sign only if this is the SHA-256 of the payload, in hex");
  sign->add_flag("--yes", options->yes, "Do not ask at the terminal");
  AddReleaseCommand(sign, sink, options, [](FileSystem& files, const auto& o, UnixTime) {
    ControllingTerminal terminal;
    return ReleaseSign(files, terminal, o);
  });
}

void AddInspect(CLI::App& release, CommandSink& sink) {
  CLI::App* const inspect =
      release.add_subcommand("inspect", "Show a repository or a release.json");
  inspect->footer(
      "Examples:\n  sallyport release inspect repo\n  sallyport release inspect release.json "
      "--json");
  const auto path = std::make_shared<ReleaseInspectOptions>();
  inspect->add_option("path", path->path, "Repository folder or release.json")->required();
  AddReleaseCommand(inspect, sink, path, &ReleaseInspect);
  CLI::App* const list = release.add_subcommand("list", "List the published releases");
  list->footer("Example:\n  sallyport release list --repository repo");
  const auto repository = std::make_shared<ReleaseInspectOptions>();
  list->add_option("--repository", repository->path, "Repository folder")->required();
  AddReleaseCommand(list, sink, repository, &ReleaseList);
}

}  // namespace

CommandResult ReleaseCreate(FileSystem& files, const ReleaseCreateOptions& options, UnixTime now) {
  return Run(options.json, [&] { return Create(files, options, now); });
}
CommandResult ReleaseWithdraw(FileSystem& files, const ReleaseWithdrawOptions& options,
                              UnixTime now) {
  return Run(options.json, [&] { return Withdraw(files, options, now); });
}
CommandResult ReleaseSign(FileSystem& files, Terminal& terminal,
                          const ReleaseSignOptions& options) {
  return Run(options.json, [&] { return Sign(files, terminal, options); });
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

void AddReleaseCommands(CLI::App& app, CommandSink& sink, FleetFunction fleet) {
  CLI::App* const release =
      app.add_subcommand("release", "Update keys, releases and their publishing");
  release->require_subcommand(1);
  AddCeremonyCommands(*release, sink);
  AddBundleCommand(*release, sink);
  AddLintCommand(*release, sink);
  AddCreate(*release, sink, std::move(fleet));
  AddWithdraw(*release, sink);
  AddSign(*release, sink);
  AddInspect(*release, sink);
}

}  // namespace sallyport::server
