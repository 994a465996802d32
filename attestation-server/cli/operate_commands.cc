#include "attestation-server/cli/operate_commands.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <thread>

#include "attestation-server/cli/audit_commands.h"
#include "attestation-server/cli/command_group.h"
#include "attestation-server/cli/progress.h"
#include "attestation-server/cli/reference_commands.h"
#include "attestation-server/config.h"
#include "attestation-server/enrolment/iak_evidence.h"
#include "attestation-server/server_keys.h"
#include "pki/base/json.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kConfigBytesMax = 1 << 20;

struct TokenOptions {
  std::string name, out, site, device_class = "online", ek_sha256, device_name, expires = "24h";
  std::vector<std::string> tags;
  unsigned count = 1;
  bool auto_approve = false;
};

CommandResult CreateToken(const CommonOptions& common, const TokenOptions& options) {
  const Result<Duration> expires = ParseDuration(options.expires);
  if (!expires) return Failure(ExitCode::kUsage, expires.error(), common.json);
  api::CreateTokenRequest request;
  request.set_name(options.name);
  request.set_site(options.site);
  request.set_device_class(options.device_class);
  for (const std::string& tag : options.tags) request.add_tags(tag);
  request.set_count(options.count);
  request.set_expires_ms((RealClock().Wall() + *expires).ms);
  request.set_auto_approve(options.auto_approve);
  request.set_ek_sha256(options.ek_sha256);
  request.set_device_name(options.device_name);
  Result<AdminClient> client = OpenAdmin(common);
  if (!client) return Failure(client.error(), common.json);
  api::CreateTokenReply reply;
  const Result<Unit> called = client->Call([&](grpc::ClientContext& context) {
    return client->stub().CreateToken(&context, request, &reply);
  });
  if (!called) return Failure(called.error(), common.json);
  PosixFileSystem files;
  const Result<Unit> written =
      WriteFileAtomically(files, options.out, AsBytes(reply.enrolment_file()));
  if (!written) return Failure(written.error(), common.json);
  const std::string json =
      WriteJson(JsonValue::Object({{"token", reply.token_id()}, {"file", options.out}}));
  return ShowJson(json, common);
}

void AddTokenCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const parent = app.add_subcommand("token", "Enrolment files and their one-time tokens");
  parent->require_subcommand(1);
  CommandGroup group(*parent, sink);
  CLI::App* const create =
      group.Add("create", "Make an enrolment file for a device or a batch",
                "sallyport token create --out cam-1.json --name cam-1 --site berlin --tags camera");
  const auto common = group.AddCommon(create);
  const auto options = std::make_shared<TokenOptions>();
  create->add_option("--out", options->out, "File to write")->required();
  create->add_option("--name", options->device_name, "Name of the device (with --count 1)");
  create->add_option("--token-name", options->name, "Name of the token in listings");
  create->add_option("--site", options->site, "Site of the devices")->required();
  create->add_option("--class", options->device_class, "Device class")->capture_default_str();
  create->add_option("--tags", options->tags, "Tags, comma separated")->delimiter(',');
  create->add_option("--count", options->count, "How many devices may use it")
      ->check(CLI::Range(1, 10000));
  create->add_option("--expires", options->expires, "Lifetime, e.g. 24h")->capture_default_str();
  create->add_option("--ek-sha256", options->ek_sha256, "Bind to one EK (hex SHA-256 of its SPKI)");
  create->add_flag("--auto-approve", options->auto_approve,
                   "Admit without an operator (count <= 100, expiry <= 24h)");
  group.Run(create, [=] { return CreateToken(*common, *options); });
  group.AddList("list", "List tokens", "sallyport token list", &api::Admin::Stub::ListTokens);
  group.AddNamed("revoke", "Revoke a token", "sallyport token revoke batch-7",
                 &api::Admin::Stub::RevokeToken);
}

constexpr std::string_view kSerialPrefix = "serial:";

// ImportDevices reads lines `ek_sha256 name site class tag,tag`, or with `serial:NUMBER` in front
// for machines that their maker vouches for; `#` starts a comment.
CommandResult ImportDevices(const CommonOptions& common, const std::string& file) {
  std::ifstream in(file);
  if (!in)
    return Failure(ExitCode::kUsage, Error{Reason::kNotFound, "cannot read " + file}, common.json);
  Result<AdminClient> client = OpenAdmin(common);
  if (!client) return Failure(client.error(), common.json);
  int line_number = 0;
  int done = 0;
  for (std::string line; std::getline(in, line);) {
    ++line_number;
    std::istringstream words(line.substr(0, line.find('#')));
    std::string ek, name, site, device_class, tags;
    if (!(words >> ek)) continue;
    if (!(words >> name >> site >> device_class))
      return Failure(ExitCode::kUsage,
                     Error{Reason::kMalformed, "expected: ek_sha256 name site class [tags]"},
                     common.json, {file, line_number, 1});
    api::AllowEkRequest request;
    if (ek.starts_with(kSerialPrefix))
      ek = HexEncode(SerialListingKey(std::string_view(ek).substr(kSerialPrefix.size())));
    request.set_ek_sha256(ek);
    request.set_device_name(name);
    request.set_site(site);
    request.set_device_class(device_class);
    if (words >> tags)
      for (std::istringstream list(tags); std::getline(list, tags, ',');) request.add_tags(tags);
    const Result<std::string> reply = AskJson(*client, &api::Admin::Stub::AllowEk, request);
    if (!reply)
      return Failure(ExitCodeOf(reply.error().reason), reply.error(), common.json,
                     {file, line_number, 1});
    ++done;
  }
  return ShowJson(WriteJson(JsonValue::Object({{"imported", done}})), common);
}

void AddDeviceCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const parent = app.add_subcommand("device", "Devices of the fleet");
  parent->require_subcommand(1);
  CommandGroup group(*parent, sink);
  CLI::App* const import = group.Add("import", "Allow the endorsement keys listed in a file",
                                     "sallyport device import eks.txt");
  const auto common = group.AddCommon(import);
  const auto file = std::make_shared<std::string>();
  import->add_option("file", *file, "Lines: ek_sha256|serial:NUMBER name site class tag,tag")
      ->required();
  group.Run(import, [=] { return ImportDevices(*common, *file); });
  group.AddList("list", "List devices", "sallyport device list --json",
                &api::Admin::Stub::ListDevices);
  group.AddNamed("show", "Show one device", "sallyport device show cam-1",
                 &api::Admin::Stub::ShowDevice);
  AddExplain(group);
  group.AddApproved("approve", "Admit a device that waits", "sallyport device approve cam-1",
                    &api::Admin::Stub::ApproveDevice, "device.approve");
  group.AddApproved("release", "Lift a quarantine (two operators)",
                    "sallyport device release cam-1", &api::Admin::Stub::ReleaseDevice,
                    "device.release");
  group.AddApproved("decommission", "Retire a device for good",
                    "sallyport device decommission cam-1", &api::Admin::Stub::DecommissionDevice,
                    "device.decommission");
  CLI::App* const quarantine = group.Add("quarantine", "Cut a device off now",
                                         "sallyport device quarantine cam-1 --why OPS-7");
  const auto quarantine_common = group.AddCommon(quarantine);
  const auto request = std::make_shared<std::array<std::string, 3>>();
  (*request)[1] = "operator";
  quarantine->add_option("name", (*request)[0], "Name or id")->required();
  quarantine->add_option("--cause", (*request)[1], "operator or clone")
      ->check(CLI::IsMember({"operator", "clone"}));
  quarantine->add_option("--why", (*request)[2], "Reason for the audit")->required();
  group.Run(quarantine, [=] {
    api::QuarantineRequest wire;
    wire.set_name((*request)[0]);
    wire.set_cause((*request)[1]);
    wire.set_why((*request)[2]);
    return Ask(*quarantine_common, &api::Admin::Stub::QuarantineDevice, wire);
  });
}

// ApproveRollout fetches the rollout's digest, so that what is signed is what the server holds.
CommandResult ApproveRollout(const CommonOptions& common, const std::string& name) {
  Result<AdminClient> client = OpenAdmin(common);
  if (!client) return Failure(client.error(), common.json);
  api::NameRequest request;
  request.set_name(name);
  const Result<std::string> shown = AskJson(*client, &api::Admin::Stub::ShowRollout, request);
  if (!shown) return Failure(shown.error(), common.json);
  const Result<Sha256Digest> digest = [&]() -> Result<Sha256Digest> {
    SP_TRY(const JsonValue json, ParseJson(*shown));
    SP_TRY(const std::string_view hex, JsonCursor(json).GetString("digest"));
    SP_TRY(const Bytes bytes, HexDecode(hex));
    return Sha256Digest::FromView(bytes);
  }();
  if (!digest) return Failure(digest.error(), common.json);
  return AskApproved(common, &api::Admin::Stub::ApproveRollout, name, "rollout.approve", *digest);
}

// WatchRollout polls until the rollout ends or stops by itself; 0 only when it completed.
CommandResult WatchRollout(const CommonOptions& common, const std::string& name,
                           bool until_canary) {
  Result<AdminClient> client = OpenAdmin(common);
  if (!client) return Failure(client.error(), common.json);
  api::NameRequest request;
  request.set_name(name);
  ProgressLine progress("rollout " + name);
  while (true) {
    const Result<std::string> shown = AskJson(*client, &api::Admin::Stub::ShowRollout, request);
    if (!shown) return Failure(shown.error(), common.json);
    const Result<JsonValue> json = ParseJson(*shown);
    if (!json) return Failure(json.error(), common.json);
    const JsonCursor rollout(*json);
    const Result<std::string_view> state = rollout.GetString("state");
    const Result<int64_t> done = rollout.GetInteger("done");
    const Result<int64_t> total = rollout.GetInteger("total");
    const Result<int64_t> percent = rollout.GetInteger("percent");
    const Result<int64_t> failed = rollout.GetInteger("failed");
    const Result<int64_t> canary_left = rollout.GetInteger("canary_left");
    if (!state || !done || !total || !percent || !failed || !canary_left)
      return Failure(Error{Reason::kInternal, "the server's answer lacks rollout figures"},
                     common.json);
    progress.Update(static_cast<unsigned>(*percent), std::string(*state) + ", " +
                                                         std::to_string(*done) + "/" +
                                                         std::to_string(*total) + " devices, " +
                                                         std::to_string(*failed) + " failed");
    const bool ended = *state == "complete" || *state == "halted" || *state == "aborted";
    if (ended || (until_canary && *canary_left == 0)) {
      progress.Finish();
      CommandResult result = ShowJson(*shown, common);
      if (*state == "halted" || *state == "aborted") result.code = ExitCode::kNo;
      return result;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
}

struct RolloutOptions {
  std::string name, release;
  std::vector<std::string> canary, devices;
};

void AddRolloutCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const parent =
      app.add_subcommand("rollout", "Deliver a release to the fleet, canaries first");
  parent->require_subcommand(1);
  CommandGroup group(*parent, sink);
  CLI::App* const create =
      group.Add("create", "Draft a rollout of a published release",
                "sallyport rollout create v2 --release edge-os/2.0.0 --canary cam-1");
  const auto common = group.AddCommon(create);
  const auto options = std::make_shared<RolloutOptions>();
  create->add_option("name", options->name, "Name of the rollout")->required();
  create->add_option("--release", options->release, "PRODUCT/VERSION")->required();
  create->add_option("--canary", options->canary, "Devices that go first, comma separated")
      ->delimiter(',')
      ->required();
  create->add_option("--devices", options->devices, "The others (default: every active device)")
      ->delimiter(',');
  group.Run(create, [=] {
    api::CreateRolloutRequest request;
    request.set_name(options->name);
    request.set_release_path("releases/" + options->release + "/release.json");
    for (const std::string& device : options->canary) request.add_canary(device);
    for (const std::string& device : options->devices) request.add_devices(device);
    return Ask(*common, &api::Admin::Stub::CreateRollout, request);
  });
  CLI::App* const approve =
      group.Add("approve", "Sign your approval of a rollout", "sallyport rollout approve v2");
  const auto approve_common = group.AddCommon(approve);
  const auto approve_name = std::make_shared<std::string>();
  approve->add_option("name", *approve_name, "Name of the rollout")->required();
  group.Run(approve, [=] { return ApproveRollout(*approve_common, *approve_name); });
  CLI::App* const watch =
      group.Add("watch", "Follow a rollout until it ends", "sallyport rollout watch v2");
  const auto watch_common = group.AddCommon(watch);
  const auto watch_name = std::make_shared<std::string>();
  const auto until_canary = std::make_shared<bool>(false);
  watch->add_option("name", *watch_name, "Name of the rollout")->required();
  watch->add_flag("--until-canary", *until_canary, "Stop when the canaries are done");
  group.Run(watch, [=] { return WatchRollout(*watch_common, *watch_name, *until_canary); });
  group.AddNamed("advance", "Go on from the canaries to the rest", "sallyport rollout advance v2",
                 &api::Admin::Stub::AdvanceRollout);
  group.AddNamed("pause", "Assign no further device", "sallyport rollout pause v2",
                 &api::Admin::Stub::PauseRollout);
  group.AddNamed("resume", "Go on after a pause", "sallyport rollout resume v2",
                 &api::Admin::Stub::ResumeRollout);
  group.AddNamed("abort", "End a rollout", "sallyport rollout abort v2",
                 &api::Admin::Stub::AbortRollout);
  group.AddNamed("status", "Show a rollout", "sallyport rollout status v2",
                 &api::Admin::Stub::ShowRollout);
  group.AddList("list", "List rollouts", "sallyport rollout list", &api::Admin::Stub::ListRollouts);
}

// CompleteKeys works on the files of a service that does not run.
CommandResult CompleteKeys(const std::string& path, bool json) {
  PosixFileSystem files;
  SystemRandom random;
  const Result<std::vector<std::string>> made = [&]() -> Result<std::vector<std::string>> {
    SP_TRY(const Bytes text, ReadFile(files, path, kConfigBytesMax));
    SP_TRY(const Config config, ParseConfig(AsText(text), path));
    return CompleteServerKeys(files, {config.state}, config.unlock_file, random);
  }();
  if (!made) return Failure(made.error(), json);
  return ShowJson(WriteJson(JsonValue::Object({{"made", JsonValue::Strings(*made)}})), {json, {}});
}

void AddCompleteKeys(CommandGroup& group) {
  CLI::App* const command =
      group.Add("complete-keys", "Make keys that a deployment of an older version does not have",
                "sallyport ca complete-keys --server-config /etc/sallyport/sallyportd.yaml");
  const auto config = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  command->add_option("--server-config", *config, "Configuration of the service, which is stopped")
      ->required();
  command->add_flag("--json", *json, "Print one JSON object");
  group.Run(command, [=] { return CompleteKeys(*config, *json); });
}

void AddServiceCommands(CLI::App& app, CommandSink& sink) {
  CommandGroup group(app, sink);
  CLI::App* const status = group.Add("status", "State of the service", "sallyport status --json");
  const auto common = group.AddCommon(status);
  group.Run(status, [=] { return Ask(*common, &api::Admin::Stub::Status, api::StatusRequest()); });
  CLI::App* const ca = app.add_subcommand("ca", "Issuers");
  ca->require_subcommand(1);
  CommandGroup ca_group(*ca, sink);
  ca_group.AddList("status", "Show issuers and their ends", "sallyport ca status",
                   &api::Admin::Stub::ShowCa);
  AddCompleteKeys(ca_group);
}

}  // namespace

Result<std::vector<std::string>> RunningReleases() {
  SP_TRY(AdminClient client, OpenAdmin({}));
  SP_TRY(const std::string json, AskJson(client, &api::Admin::Stub::Status, api::StatusRequest()));
  SP_TRY(const JsonValue status, ParseJson(json));
  SP_TRY(const auto running, JsonCursor(status).GetElements("running"));
  std::vector<std::string> out;
  for (const JsonCursor& row : running) {
    SP_TRY(const std::string_view release, row.GetString("release"));
    out.emplace_back(release);
  }
  return out;
}

void AddOperateCommands(CLI::App& app, CommandSink& sink) {
  AddServiceCommands(app, sink);
  AddTokenCommands(app, sink);
  AddDeviceCommands(app, sink);
  AddReferenceCommands(app, sink);
  AddExplainRelease(app, sink);
  AddRolloutCommands(app, sink);
  AddAuditCommands(app, sink);
}

}  // namespace sallyport::server
