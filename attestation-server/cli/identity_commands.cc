#include "attestation-server/cli/identity_commands.h"

#include <CLI/CLI.hpp>

#include "pki/base/json.h"
#include "pki/spiffe/spiffe_id.h"

namespace sallyport::server {

CommandResult CheckIds(const std::vector<std::string>& ids, bool json) {
  CommandResult result;
  for (const std::string& id : ids) {
    const Result<pki::SpiffeId> parsed = pki::SpiffeId::Parse(id);
    if (!parsed) result.code = ExitCode::kNo;
    const std::string reason = parsed ? "" : std::string(parsed.error().name());
    if (json)
      result.out += WriteJson(JsonValue::Object(
                        {{"id", id}, {"valid", parsed.has_value()}, {"reason", reason}})) +
                    "\n";
    else
      result.out += id + (parsed ? "  valid\n" : "  invalid: " + parsed.error().ToString() + "\n");
  }
  return result;
}

void AddIdentityCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const parent = app.add_subcommand("id", "SPIFFE identities");
  parent->require_subcommand(1);
  CLI::App* const check =
      parent->add_subcommand("check", "Say whether identities keep to the SPIFFE-ID standard");
  check->footer("Example:\n  sallyport id check spiffe://edge.example/server/control");
  const auto ids = std::make_shared<std::vector<std::string>>();
  const auto json = std::make_shared<bool>(false);
  check->add_option("id", *ids, "Identities")->required();
  check->add_flag("--json", *json, "Print one JSON object per identity");
  check->callback([&sink, ids, json] { sink.Run([ids, json] { return CheckIds(*ids, *json); }); });
}

}  // namespace sallyport::server
