// `sallyport-agent`: composition root of the device.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "attestation-server/api/tls.h"
#include "device-client/run.h"

namespace {

namespace device = sallyport::device;

// UpdateCommands are the subcommands of `update` with what they were given.
struct UpdateCommands {
  CLI::App* status = nullptr;
  CLI::App* preflight = nullptr;
  CLI::App* adopt = nullptr;
  CLI::App* install = nullptr;
  bool json = false;
  std::string release;
  device::AdoptOptions adopting;
  device::InstallOptions installing;
};

void AddLooking(CLI::App& update, UpdateCommands& out) {
  out.status = update.add_subcommand(
      "status", "Print the release that runs, and the rollback floors with their state");
  out.status->footer("Example:\n  sallyport-agent update status --json --config agent.yaml");
  out.status->add_flag("--json", out.json, "As one JSON object");
  out.preflight = update.add_subcommand(
      "preflight", "Check what an installation would need, without changing anything");
  out.preflight->footer(
      "Example:\n  sallyport-agent update preflight --release release.json --config agent.yaml\n"
      "Exit status 1 when a check fails.");
  out.preflight->add_option(
      "--release", out.release,
      "release.json whose sizes and components are checked (default: the assigned one)");
  out.preflight->add_flag("--json", out.json, "As one JSON object");
}

void AddAdopt(CLI::App& update, UpdateCommands& out) {
  out.adopt = update.add_subcommand(
      "adopt-floors",
      "Make rollback counters that are missing or were made anew this device's own");
  out.adopt->footer(
      "The floors are those that the server recorded from this TPM; a floor that is held is never "
      "lowered.\nFind out first who cleared the TPM (docs/rollback.md). A running agent takes them "
      "up by itself; stop it\nwhere the TPM has no resource manager.\n"
      "Example:\n  sallyport-agent update adopt-floors --config /etc/sallyport/agent.yaml\n"
      "Exit status: 0 adopted, 1 refused, 2 configuration wrong, 3 TPM not reachable, 4 internal.");
  out.adopt->add_flag(
      "--begin-at-zero", out.adopting.begin_at_zero,
      "Where the server recorded none: a device that never attested since it had them");
  out.adopt->add_flag("--json", out.adopting.json, "As one JSON object");
}

void AddInstall(CLI::App& update, UpdateCommands& out) {
  out.install = update.add_subcommand(
      "install", "Let the running agent install the release of a USB bundle, and reboot into it");
  out.install->footer(
      "Example:\n  sallyport-agent update install /media/stick/sallyport --config agent.yaml\n"
      "Interrupted? The same command goes on. 0: installed, the machine reboots; 1: refused; 3: no "
      "agent runs.");
  out.install->add_option("folder", out.installing.folder, "The bundle")->required();
  out.install->add_option("--role", out.installing.role, "Take it only if this role signed it");
  out.install->add_flag("--json", out.installing.json, "As one JSON object");
}

}  // namespace

int main(int argc, char** argv) {
  sallyport::server::PrepareTls();
  ::setenv("TSS2_LOG", "all+none", 0);  // the TPM's words come through our own errors
  CLI::App app{
      "Sallyport agent: proves this device, renews its certificate, enforces its policy, updates "
      "its system",
      "sallyport-agent"};
  app.footer(
      "Examples:\n  sallyport-agent --config /etc/sallyport/agent.yaml\n"
      "  sallyport-agent status --config /etc/sallyport/agent.yaml\n"
      "  sallyport-agent update status --config /etc/sallyport/agent.yaml\n"
      "  sallyport-agent update install /media/stick/sallyport --config /etc/sallyport/agent.yaml\n"
      "  sallyport-agent update adopt-floors --config /etc/sallyport/agent.yaml\n"
      "Exit status 64 asks the supervisor to reboot the machine.");
  app.set_version_flag("--version", SALLYPORT_VERSION);
  app.fallthrough();
  device::RunOptions options;
  app.add_option("--config", options.config, "Configuration file")->required();
  app.add_flag("--check-config", options.check_only,
               "Read the configuration, say whether it is good, and stop");
  app.add_flag("--once", options.once, "Prove this boot once and stop: 0 admitted, 1 refused");
  const CLI::App* const status =
      app.add_subcommand("status", "Print the running agent's status as JSON");
  CLI::App* const update =
      app.add_subcommand("update", "What this device runs and may be updated to");
  update->require_subcommand(1);
  UpdateCommands updating;
  AddLooking(*update, updating);
  AddAdopt(*update, updating);
  AddInstall(*update, updating);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (updating.install->parsed()) return device::InstallBundle(options, updating.installing);
  if (updating.preflight->parsed())
    return device::PrintPreflight(options, updating.release, updating.json);
  if (updating.adopt->parsed()) return device::AdoptFloors(options, updating.adopting);
  if (updating.status->parsed()) return device::PrintUpdateStatus(options, updating.json);
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  options.service_manager = {variable("NOTIFY_SOCKET"), variable("WATCHDOG_USEC")};
  return status->parsed() ? device::PrintStatus(options) : device::RunAgent(options);
}
