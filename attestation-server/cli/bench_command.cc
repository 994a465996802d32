#include "attestation-server/cli/bench_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>

namespace sallyport::server {
namespace {

struct BenchOptions {
  unsigned devices = 400;
  unsigned rounds = 3;
  bool json = false;
};

struct FanoutBenchOptions {
  unsigned clients = 200;
  unsigned mib = 16;
  bool json = false;
};
constexpr unsigned kFanoutMibMax = 1024;

// The enrol listener takes 500 at once of one address; a device may ask for ten challenges at once,
// and uses one to enrol and two in each round.
constexpr unsigned kDevicesMax = 480;
constexpr unsigned kRoundsMax = 4;

std::string ProgramBeside(const std::string& name) {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / name;
}

CommandResult Bench(const std::string& what, const BenchOptions& options) {
  return Failure(ExitCode::kUsage,
                 RunBench(ProgramBeside("sallyport-bench"),
                          {what, std::to_string(options.devices), std::to_string(options.rounds),
                           options.json ? "json" : "text"}),
                 options.json);
}

struct InstallBenchOptions {
  unsigned mib = 256;
  std::string directory = "/tmp";
  std::string image;
  std::string from;
  bool json = false;
};
constexpr unsigned kInstallMibMax = 8192;

CommandResult BenchInstall(const InstallBenchOptions& options) {
  std::vector<std::string> arguments = {std::to_string(options.mib), options.directory,
                                        options.json ? "json" : "text"};
  if (!options.image.empty()) arguments.insert(arguments.end(), {options.image, options.from});
  return Failure(ExitCode::kUsage, RunBench(ProgramBeside("install_bench"), std::move(arguments)),
                 options.json);
}

void AddInstallBench(CLI::App& bench, CommandSink& sink) {
  CLI::App* const install = bench.add_subcommand(
      "install", "The installer on this machine's disk, beside a copy and the peers that are here");
  install->footer(
      "Prints time, CPU, peak memory and bytes of each, one process per row: copying, zstd, this\n"
      "installer, and SWUpdate and RAUC where they are installed; with --image and --from also\n"
      "updates from one image to the other, beside xdelta3, zstd and OSTree.\n\n"
      "Examples:\n  sallyport bench install\n  sallyport bench install --image new.erofs --from "
      "old.erofs --json");
  const auto options = std::make_shared<InstallBenchOptions>();
  install->add_option("--mib", options->mib, "Size of the image of the full installation")
      ->check(CLI::Range(1u, kInstallMibMax))
      ->capture_default_str();
  install->add_option("--directory", options->directory, "Where to work: the disk to measure")
      ->check(CLI::ExistingDirectory)
      ->capture_default_str();
  CLI::Option* const image = install->add_option("--image", options->image, "Image to update to")
                                 ->check(CLI::ExistingFile);
  CLI::Option* const from = install->add_option("--from", options->from, "Image to update from")
                                ->check(CLI::ExistingFile);
  image->needs(from);
  from->needs(image);
  install->add_flag("--json", options->json, "One JSON object");
  install->callback([&sink, options] { sink.Run([options] { return BenchInstall(*options); }); });
}

void AddFanoutBench(CLI::App& bench, CommandSink& sink) {
  CLI::App* const fanout =
      bench.add_subcommand("fanout", "One file to many devices from the content listener");
  fanout->footer(
      "Prints the server's CPU per gigabyte for a quarter of the clients and for all of them, "
      "beside\n"
      "nginx with the same certificate where it is installed, and what cipher and loopback cost "
      "here.\n\nExamples:\n  sallyport bench fanout\n  sallyport bench fanout --clients 40 --mib 8 "
      "--json");
  const auto options = std::make_shared<FanoutBenchOptions>();
  fanout->add_option("--clients", options->clients, "Devices that load at once")
      ->check(CLI::Range(1u, kDevicesMax))
      ->capture_default_str();
  fanout->add_option("--mib", options->mib, "What each loads")
      ->check(CLI::Range(1u, kFanoutMibMax))
      ->capture_default_str();
  fanout->add_flag("--json", options->json, "One JSON object");
  fanout->callback([&sink, options] {
    sink.Run(
        [options] { return Bench("fanout", {options->clients, options->mib, options->json}); });
  });
}

}  // namespace

Error RunBench(const std::string& program, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  return {Reason::kNotFound, program + " does not start; build its target", "bench.missing"};
}

void AddBenchCommands(CLI::App& app, CommandSink& sink) {
  CLI::App* const bench = app.add_subcommand(
      "bench", "Measure a server of its own on this machine, in a scratch directory");
  bench->require_subcommand(1);
  const auto add = [&](const char* what, const char* help) {
    CLI::App* const command = bench->add_subcommand(what, help);
    command->footer(
        "Prints operations per second, CPU of the server process per operation, latencies, the\n"
        "server's peak memory, and beside them what the curve and a bare TLS connection cost "
        "here.\n\nExamples:\n  sallyport bench " +
        std::string(what) + "\n  sallyport bench " + what + " --devices 50 --json");
    const auto options = std::make_shared<BenchOptions>();
    command->add_option("--devices", options->devices, "Devices, each with a software TPM")
        ->check(CLI::Range(1u, kDevicesMax))
        ->capture_default_str();
    if (std::string_view(what) == "renew")
      command->add_option("--rounds", options->rounds, "Renewals of each device")
          ->check(CLI::Range(1u, kRoundsMax))
          ->capture_default_str();
    command->add_flag("--json", options->json, "One JSON object");
    command->callback(
        [&sink, what, options] { sink.Run([what, options] { return Bench(what, *options); }); });
  };
  add("enrol", "First enrolments, each on a TLS connection of its own");
  add("renew", "Attested renewals on live streams: all at once, and pushed when due");
  add("reconnect", "New streams of enrolled devices");
  AddFanoutBench(*bench, sink);
  AddInstallBench(*bench, sink);
}

}  // namespace sallyport::server
