// `sallyportd`: composition root of the control plane.
#include <csignal>
#include <cstdio>

#include <CLI/CLI.hpp>

#include "attestation-server/api/tls.h"
#include "attestation-server/cli/command.h"
#include "attestation-server/server.h"
#include "attestation-server/service_manager.h"
#include "pki/base/log.h"

namespace {

namespace server = sallyport::server;

int Fail(const sallyport::Error& error) {
  std::fprintf(stderr, "sallyportd: %s\n", error.ToString().c_str());
  return static_cast<int>(server::ExitCodeOf(error.reason));
}

int Run(const std::string& path, bool check_only) {
  sallyport::PosixFileSystem files;
  sallyport::SystemRandom random;
  const sallyport::RealClock clock;
  const auto text = sallyport::ReadFile(files, path, 1 << 20);
  if (!text) return Fail(text.error());
  const auto config = server::ParseConfig(sallyport::AsText(*text), path);
  if (!config) return Fail(config.error());
  if (check_only) return std::puts("configuration is good") < 0 ? 4 : 0;
  sallyport::SetLogLevel(server::LogLevelOf(config->log_level));
  server::StopSignal stop;  // blocks SIGINT and SIGTERM before any thread starts
  const auto running = server::Server::Start(*config, {files, random, clock});
  if (!running) return Fail(running.error());
  server::NotifyReady();
  sallyport::Log(sallyport::LogLevel::kInfo, "ready", {{"trust_domain", config->trust_domain}});
  stop.Wait();
  sallyport::Log(sallyport::LogLevel::kInfo, "stopping");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  server::PrepareTls();
  CLI::App app{"Sallyport control plane", "sallyportd"};
  app.footer("Example:\n  sallyportd --config /etc/sallyport/sallyportd.yaml");
  app.set_version_flag("--version", SALLYPORT_VERSION);
  std::string config;
  bool check_only = false;
  app.add_option("--config", config, "Configuration file")->required();
  app.add_flag("--check-config", check_only,
               "Read the configuration, say whether it is good, and stop");
  CLI11_PARSE(app, argc, argv);
  return Run(config, check_only);
}
