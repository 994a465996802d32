// `sallyport`: the operator's program. Composition root: each group of commands is its own file.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "attestation-server/cli/bench_command.h"
#include "attestation-server/cli/command.h"
#include "attestation-server/cli/ek_bundle_command.h"
#include "attestation-server/cli/ek_commands.h"
#include "attestation-server/cli/evidence_commands.h"
#include "attestation-server/cli/identity_commands.h"
#include "attestation-server/cli/init_command.h"
#include "attestation-server/cli/operate_commands.h"
#include "attestation-server/cli/policy_commands.h"
#include "attestation-server/cli/publish_commands.h"
#include "attestation-server/cli/release_commands.h"
#include "attestation-server/cli/uki_commands.h"
#include "attestation-server/api/tls.h"

int main(int argc, char** argv) {
  namespace server = sallyport::server;
  server::PrepareTls();
  CLI::App app{"Sallyport: device identity, policy and updates for fleets of edge nodes",
               "sallyport"};
  app.set_version_flag("--version", SALLYPORT_VERSION);
  app.require_subcommand(1);
  server::CommandSink sink;
  server::AddInitCommand(app, sink);
  server::AddEkCommands(app, sink);
  server::AddEvidenceCommands(app, sink);
  server::AddIdentityCommands(app, sink);
  server::AddUkiCommands(app, sink);
  server::AddPolicyCommands(app, sink);
  server::AddReleaseCommands(app, sink, &server::RunningReleases);
  server::AddPublishCommands(app, sink);
  server::AddOperateCommands(app, sink);
  server::AddEkBundleCommand(app, sink);
  server::AddBenchCommands(app, sink);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(server::ExitCode::kUsage);
  }
  const server::CommandResult result = sink.command()();
  std::fputs(result.out.c_str(), stdout);
  std::fputs(result.err.c_str(), stderr);
  return static_cast<int>(result.code);
}
