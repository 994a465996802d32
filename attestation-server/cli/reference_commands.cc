#include "attestation-server/cli/reference_commands.h"

#include <algorithm>

#include "attestation-server/cli/render.h"
#include "attestation-server/reference/device_sets.h"
#include "attestation-server/reference/reference_file.h"
#include "ota/metadata/release.h"
#include "ota/repository/signed_release.h"
#include "pki/base/printable.h"
#include "pki/spiffe/spiffe_id.h"

namespace sallyport::server {
namespace {

struct ImportOptions {
  std::string file, device_class, release, base, repository, root;
  std::vector<std::string> devices, supersedes;
};

Result<std::string> FieldOf(const std::string& json, std::string_view key) {
  SP_TRY(const JsonValue value, ParseJson(json, {.size_max = 4 * kReferenceBytesMax}));
  SP_TRY(const std::string_view text, JsonCursor(value).GetString(key));
  return std::string(text);
}

// IdsOf resolves names of devices to ids, sorted.
Result<std::vector<std::string>> IdsOf(AdminClient& client, const std::vector<std::string>& names) {
  std::vector<std::string> ids;
  for (const std::string& name : names) {
    api::NameRequest request;
    request.set_name(name);
    SP_TRY(const std::string shown, AskJson(client, &api::Admin::Stub::ShowDevice, request));
    SP_TRY(std::string id, FieldOf(shown, "id"));
    ids.push_back(std::move(id));
  }
  std::ranges::sort(ids);
  const auto repeated = std::ranges::unique(ids);
  ids.erase(repeated.begin(), repeated.end());
  return ids;
}

// OnBase puts the values of a release over those of a set that the service has: PCRs that both name
// are the release's. The one set of it that fits the base's Secure Boot state is taken.
Result<ReferenceFile> OnBase(AdminClient& client, const std::string& base, ByteView release_json) {
  SP_TRY(const ota::Release release, ota::ParseRelease(release_json));
  api::NameRequest request;
  request.set_name(base);
  SP_TRY(const std::string shown, AskJson(client, &api::Admin::Stub::ShowReference, request));
  SP_TRY(const std::string text, FieldOf(shown, "json"));
  SP_TRY(ReferenceFile file, ParseReferenceFile(text));
  return PutOnBase(release, std::move(file));
}

// CheckSigned: the values come from a release that the update keys signed, not from a file. Which
// root and trust domain those are is this operator's word, not that of the folder or the service.
Result<Unit> CheckSigned(const CommonOptions& common, const ImportOptions& options,
                         ByteView release_json) {
  PosixFileSystem files;
  SP_TRY(const Context context, LoadContext(files, common.choice));
  SP_TRY(const pki::SpiffeId server, pki::SpiffeId::Parse(context.server_id));
  SP_TRY(const Bytes root, ReadFile(files, options.root, kReferenceBytesMax));
  return ota::CheckSignedRelease(ota::RepositoryFolder(files, options.repository), root,
                                 std::string(server.trust_domain().name()), release_json,
                                 RealClock().Wall());
}

// FileToImport is the file as given, or made of what the options add to it.
Result<Bytes> FileToImport(const CommonOptions& common, AdminClient& client,
                           const ImportOptions& options) {
  PosixFileSystem files;
  const std::string& path = options.release.empty() ? options.file : options.release;
  SP_TRY(Bytes bytes, ReadFile(files, path, kReferenceBytesMax));
  if (options.release.empty() && options.devices.empty() && options.supersedes.empty())
    return bytes;
  if (!options.release.empty()) {
    SP_TRY(CheckSigned(common, options, bytes));
  }
  Result<ReferenceFile> file = options.release.empty() ? ParseReferenceFile(AsText(bytes))
                                                       : OnBase(client, options.base, bytes);
  if (!file) return std::move(file).error();
  if (!options.devices.empty()) {
    SP_TRY(file->devices, IdsOf(client, options.devices));
  }
  for (const std::string& hex : options.supersedes) {
    SP_TRY(const Bytes id, HexDecode(hex));
    SP_TRY(const Sha256Digest digest, Sha256Digest::FromView(id));
    file->supersedes.push_back(digest);
  }
  std::ranges::sort(file->supersedes);
  return ToBytes(WriteReferenceFile(*file));
}

// SendImport sends `json` with this operator's approval of exactly these bytes.
CommandResult SendImport(const CommonOptions& common, AdminClient& client,
                         const std::string& device_class, ByteView json) {
  const Result<SignedApproval> approval =
      ApproveWithContext(common, kReferenceApproveAction, pki::Sha256(json));
  if (!approval) return Failure(approval.error(), common.json);
  api::ImportReferenceRequest request;
  request.set_device_class(device_class);
  request.set_json(ToString(json));
  api::Approval* const sent = request.add_approvals();
  sent->set_body(ToString(approval->body));
  sent->set_signature(ToString(approval->signature));
  return ShowJson(AskJson(client, &api::Admin::Stub::ImportReference, request), common);
}

CommandResult ImportReference(const CommonOptions& common, const ImportOptions& options) {
  if (options.file.empty() == options.release.empty() ||
      options.release.empty() != options.base.empty() ||
      options.release.empty() != options.repository.empty() ||
      options.release.empty() != options.root.empty())
    return Failure(
        ExitCode::kUsage,
        Error{Reason::kInvalidArgument,
              "give FILE, or --release with --on, --repository and --root", "reference.usage"},
        common.json);
  Result<AdminClient> client = OpenAdmin(common);
  if (!client) return Failure(client.error(), common.json);
  const Result<Bytes> json = FileToImport(common, *client, options);
  if (!json) return Failure(ExitCode::kUsage, json.error(), common.json);
  return SendImport(common, *client, options.device_class, *json);
}

// ChangeReference signs `action` on the set itself: its id is the digest of its bytes.
CommandResult ChangeReference(const CommonOptions& common, JsonRpc<api::ApprovedRequest> rpc,
                              const std::string& id, std::string_view action) {
  const Result<Sha256Digest> digest = [&]() -> Result<Sha256Digest> {
    SP_TRY(const Bytes bytes, HexDecode(id));
    return Sha256Digest::FromView(bytes);
  }();
  if (!digest) return Failure(ExitCode::kUsage, digest.error(), common.json);
  return AskApproved(common, rpc, id, action, *digest);
}

struct AcceptOptions {
  std::string verdict;
  bool same = false, whole_class = false;
  std::vector<std::string> devices;
};

// CheckProposal: what is signed is for no more than was asked for, whatever else the service says.
Result<ReferenceFile> CheckProposal(const std::string& json, const AcceptOptions& options) {
  SP_TRY(ReferenceFile file, ParseReferenceFile(json));
  const bool for_devices = !file.devices.empty();
  const bool counted = for_devices && !options.same;
  if (for_devices == options.whole_class || !file.supersedes.empty() ||
      (counted && file.devices.size() > 1 + options.devices.size()))
    return Error{Reason::kMismatch, "the service proposes more than was asked for",
                 "proposal.scope"};
  return file;
}

// Signed says whom a set is for, by the bytes that were signed.
std::string Signed(const ReferenceFile& file) {
  if (file.devices.empty()) return "for every device of class " + file.device_class;
  std::string out = "for " + std::to_string(file.devices.size()) + " device(s) of class " +
                    file.device_class + ":";
  for (const std::string& id : file.devices) out += " " + id;
  return out;
}

// AcceptBoot asks for the set that would accept a failed boot, and signs it: the first operator
// imports it, the next ones approve what is there.
CommandResult AcceptBoot(const CommonOptions& common, const AcceptOptions& options) {
  Result<AdminClient> client = OpenAdmin(common);
  if (!client) return Failure(client.error(), common.json);
  api::ProposeReferenceRequest request;
  request.set_verdict(options.verdict);
  request.set_whole_class(options.whole_class);
  request.set_all_same(options.same);
  for (const std::string& device : options.devices) request.add_devices(device);
  const Result<std::string> answer = AskJson(*client, &api::Admin::Stub::ProposeReference, request);
  if (!answer) return Failure(answer.error(), common.json);
  const Result<std::string> json = FieldOf(*answer, "json");
  if (!json) return Failure(json.error(), common.json);
  const Result<ReferenceFile> file = CheckProposal(*json, options);
  if (!file) return Failure(file.error(), common.json);
  const bool stored = FieldOf(*answer, "state").has_value();
  CommandResult result =
      stored ? ChangeReference(common, &api::Admin::Stub::ApproveReference,
                               HexEncode(pki::Sha256(AsBytes(*json))), kReferenceApproveAction)
             : SendImport(common, *client, file->device_class, AsBytes(*json));
  if (result.code == ExitCode::kYes) result.err = "signed " + Signed(*file) + "\n";
  return result;
}

void AddReferenceChange(CommandGroup& group, const std::string& name, const std::string& help,
                        JsonRpc<api::ApprovedRequest> rpc, std::string_view action) {
  CLI::App* const command =
      group.Add(name, help, "sallyport reference " + name + " 3f1c...  (from reference list)");
  const auto common = group.AddCommon(command);
  const auto id = std::make_shared<std::string>();
  command->add_option("id", *id, "Id of the set: 64 hex digits")->required();
  group.Run(command, [=] { return ChangeReference(*common, rpc, *id, action); });
}

void AddImport(CommandGroup& group) {
  CLI::App* const import = group.Add(
      "import", "Propose a set of reference values for a class or for devices, with your approval",
      "sallyport reference import base.json --class online\n"
      "  sallyport reference import cam-7.json --class online --device cam-7\n"
      "  sallyport reference import new.json --class online --supersedes 3f1c...\n"
      "  sallyport reference import --release release.json --repository repo --root 1.root.json "
      "--on 3f1c... --class online");
  const auto common = group.AddCommon(import);
  const auto options = std::make_shared<ImportOptions>();
  import->add_option("file", options->file, "reference/v1 JSON");
  import->add_option("--class", options->device_class, "Device class")->required();
  import->add_option("--device", options->devices, "Only for this device; may be repeated");
  import->add_option("--supersedes", options->supersedes,
                     "Set of the class that retires when this one is in force; may be repeated");
  import->add_option("--release", options->release, "release.json instead of a file");
  import->add_option("--repository", options->repository, "Repository folder that it is signed in");
  import->add_option("--root", options->root, "root.json of the image repository that you trust");
  import->add_option("--on", options->base, "Set that gives the PCRs the release does not name");
  group.Run(import, [=] { return ImportReference(*common, *options); });
}

void AddAccept(CommandGroup& group) {
  CLI::App* const accept =
      group.Add("accept", "Approve what a failed boot showed (two operators run the same command)",
                "sallyport reference accept 9f3c...  (from device explain)\n"
                "  sallyport reference accept 9f3c... --same");
  const auto common = group.AddCommon(accept);
  const auto options = std::make_shared<AcceptOptions>();
  accept->add_option("verdict", options->verdict, "Verdict of the failed boot")->required();
  accept->add_flag("--same", options->same, "For every failing device that shows the same");
  accept->add_option("--device", options->devices, "For this device too; may be repeated");
  accept->add_flag("--whole-class", options->whole_class, "For every device of the class");
  group.Run(accept, [=] { return AcceptBoot(*common, *options); });
}

void AddLearn(CommandGroup& group) {
  CLI::App* const learn = group.Add("learn", "Capture what devices of a class boot; admits nothing",
                                    "sallyport reference learn --class online --for 2h\n"
                                    "  sallyport reference learn --class online --close");
  const auto common = group.AddCommon(learn);
  const auto device_class = std::make_shared<std::string>();
  const auto time = std::make_shared<std::string>("1h");
  const auto close = std::make_shared<bool>(false);
  learn->add_option("--class", *device_class, "Device class")->required();
  learn->add_option("--for", *time, "How long, at most 7d")->capture_default_str();
  learn->add_flag("--close", *close, "End the window: what was captured become candidates");
  group.Run(learn, [=] {
    const Result<Duration> duration = ParseDuration(*time);
    if (!duration) return Failure(ExitCode::kUsage, duration.error(), common->json);
    api::LearnReferenceRequest request;
    request.set_device_class(*device_class);
    request.set_until_ms((RealClock().Wall() + *duration).ms);
    request.set_close(*close);
    return Ask(*common, &api::Admin::Stub::LearnReference, request);
  });
}

}  // namespace

std::string ExplanationText(std::string_view json) {
  const Result<JsonValue> value = ParseJson(json, {.size_max = 4 << 20});
  const Result<std::vector<std::string>> lines =
      value ? JsonCursor(*value).GetStrings("summary")
            : Result<std::vector<std::string>>(value.error());
  if (!lines) return std::string(json) + "\n";
  std::string out;
  for (const std::string& line : *lines) out += line + "\n";
  return out;
}

void AddExplain(CommandGroup& group) {
  CLI::App* const command =
      group.Add("explain", "Say why a device was admitted or refused, event by event",
                "sallyport device explain cam-1\n  sallyport device explain cam-1 --ear");
  const auto common = group.AddCommon(command);
  const auto name = std::make_shared<std::string>();
  const auto ear = std::make_shared<bool>(false);
  command->add_option("name", *name, "Name or id")->required();
  command->add_flag("--ear", *ear, "Print the signed attestation result for other relying parties");
  group.Run(command, [=]() -> CommandResult {
    Result<AdminClient> client = OpenAdmin(*common);
    if (!client) return Failure(client.error(), common->json);
    api::NameRequest request;
    request.set_name(*name);
    const JsonRpc<api::NameRequest> rpc =
        *ear ? &api::Admin::Stub::ShowAttestationResult : &api::Admin::Stub::ExplainDevice;
    const Result<std::string> json = AskJson(*client, rpc, request);
    if (!json || common->json) return ShowJson(json, *common);
    if (!*ear) return {ExitCode::kYes, ExplanationText(*json), ""};
    const Result<std::string> jws = FieldOf(*json, "ear");
    if (!jws) return Failure(jws.error(), common->json);
    return {ExitCode::kYes, *jws + "\n", ""};
  });
}

// ReleaseAnswer is the answer in lines; only a certain yes is one.
CommandResult ReleaseAnswer(const std::string& json, bool as_json) {
  const Result<JsonValue> value = ParseJson(json);
  const Result<std::string_view> answer =
      value ? JsonCursor(*value).GetString("answer") : Result<std::string_view>(value.error());
  if (!answer) return Failure(answer.error(), as_json);
  CommandResult result{*answer == "yes" ? ExitCode::kYes : ExitCode::kNo, json + "\n", ""};
  if (as_json) return result;
  result.out = std::string(*answer) + "\n";
  const Result<std::vector<JsonCursor>> gates = JsonCursor(*value).GetElements("gates");
  if (!gates) return Failure(gates.error(), as_json);
  for (const JsonCursor& gate : *gates) {
    const auto text = [&gate](std::string_view key) {
      const Result<std::string_view> member = gate.GetString(key);
      return PrintableLine(member ? *member : std::string_view());
    };
    result.out += text("result") + "  " + text("gate") + ": needs " + text("need") + "; has " +
                  text("have") + "\n";
  }
  const Result<std::string_view> log = JsonCursor(*value).GetString("log");
  if (log && !log->empty()) result.out += "log of the boot that failed\n" + Indented(*log);
  return result;
}

void AddExplainRelease(CLI::App& app, CommandSink& sink) {
  CLI::App* const explain = app.add_subcommand("explain", "Say why, gate by gate");
  explain->require_subcommand(1);
  CLI::App* const device = explain->add_subcommand("device", "Of a device");
  const auto request = std::make_shared<api::ExplainReleaseRequest>();
  device
      ->add_option_function<std::string>(
          "name", [request](const std::string& name) { request->set_device(name); }, "Name or id")
      ->required();
  device->require_subcommand(1);
  CommandGroup group(*device, sink);
  CLI::App* const release =
      group.Add("release", "Whether it may get and run a release, and each gate on the way",
                "sallyport explain device cam-1 release edge-os/2.0.0");
  const auto common = group.AddCommon(release);
  release
      ->add_option_function<std::string>(
          "release", [request](const std::string& name) { request->set_release(name); },
          "product/version, target path or digest of a published release")
      ->required();
  group.Run(release, [=]() -> CommandResult {
    Result<AdminClient> client = OpenAdmin(*common);
    if (!client) return Failure(client.error(), common->json);
    const Result<std::string> json = AskJson(*client, &api::Admin::Stub::ExplainRelease, *request);
    if (!json) return Failure(json.error(), common->json);
    return ReleaseAnswer(*json, common->json);
  });
}

void AddReferenceCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const parent =
      app.add_subcommand("reference", "Reference values that devices are judged by");
  parent->require_subcommand(1);
  CommandGroup group(*parent, sink);
  AddImport(group);
  AddAccept(group);
  AddLearn(group);
  AddReferenceChange(group, "approve", "Sign your approval of a candidate (two operators)",
                     &api::Admin::Stub::ApproveReference, kReferenceApproveAction);
  AddReferenceChange(group, "retire", "End a set for good (two operators)",
                     &api::Admin::Stub::RetireReference, kReferenceRetireAction);
  group.AddNamed("show", "Show a set with its values", "sallyport reference show 3f1c...",
                 &api::Admin::Stub::ShowReference);
  group.AddList("list", "List sets and their states", "sallyport reference list",
                &api::Admin::Stub::ListReferences);
}

}  // namespace sallyport::server
