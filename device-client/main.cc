// `sallyport-agent`: composition root of the device.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "attestation-server/api/tls.h"
#include "device-client/run.h"

int main(int argc, char** argv) {
  namespace device = sallyport::device;
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
  CLI::App* const update_status = update->add_subcommand(
      "status", "Print the release that runs, and the rollback floors with their state");
  update_status->footer("Example:\n  sallyport-agent update status --json --config agent.yaml");
  CLI::App* const adopt = update->add_subcommand(
      "adopt-floors",
      "Make rollback counters that are missing or were made anew this device's own");
  adopt->footer(
      "The floors are those that the server recorded from this TPM; a floor that is held is never "
      "lowered.\nFind out first who cleared the TPM (docs/rollback.md). A running agent takes them "
      "up by itself; stop it\nwhere the TPM has no resource manager.\n"
      "Example:\n  sallyport-agent update adopt-floors --config /etc/sallyport/agent.yaml\n"
      "Exit status: 0 adopted, 1 refused, 2 configuration wrong, 3 TPM not reachable, 4 internal.");
  device::AdoptOptions adopting;
  adopt->add_flag("--begin-at-zero", adopting.begin_at_zero,
                  "Where the server recorded none: a device that never attested since it had them");
  adopt->add_flag("--json", adopting.json, "As one JSON object");
  bool json = false;
  update_status->add_flag("--json", json, "As one JSON object");
  CLI::App* const update_install = update->add_subcommand(
      "install", "Let the running agent install the release of a USB bundle, and reboot into it");
  update_install->footer(
      "Example:\n  sallyport-agent update install /media/stick/sallyport --config agent.yaml\n"
      "Interrupted? The same command goes on. 0: installed, the machine reboots; 1: refused; 3: no "
      "agent runs.");
  device::InstallOptions install;
  update_install->add_option("folder", install.folder, "The bundle")->required();
  update_install->add_option("--role", install.role, "Take it only if this role signed it");
  update_install->add_flag("--json", install.json, "As one JSON object");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (update_install->parsed()) return device::InstallBundle(options, install);
  if (adopt->parsed()) return device::AdoptFloors(options, adopting);
  if (update_status->parsed()) return device::PrintUpdateStatus(options, json);
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  options.service_manager = {variable("NOTIFY_SOCKET"), variable("WATCHDOG_USEC")};
  return status->parsed() ? device::PrintStatus(options) : device::RunAgent(options);
}
