// What the commands of `sallyport release` have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "attestation-server/cli/command.h"
#include "ota/repository/sign.h"
#include "pki/base/time.h"

namespace sallyport::server {

// Done prints `facts` as JSON, or `text`.
inline CommandResult Done(bool json, const JsonValue& facts, std::string text) {
  return {ExitCode::kYes, json ? WriteJson(facts) + "\n" : std::move(text), ""};
}

// Run turns the outcome of one command into what is printed.
template <typename Body>
CommandResult Run(bool json, const Body& body) {
  Result<CommandResult> result = body();
  return result ? *std::move(result) : Failure(result.error(), json);
}

inline ota::RepositoryFolder FolderOf(FileSystem& files, const std::string& repository,
                                      bool director) {
  if (director) return ota::RepositoryFolder::Director(files, repository);
  return {files, repository};
}

inline JsonValue StatusJson(const ota::SigningStatus& status) {
  return JsonValue::Object({{"role", status.role},
                            {"version", status.version},
                            {"signatures", status.signatures},
                            {"threshold", status.threshold},
                            {"missing", JsonValue::Strings(status.missing)},
                            {"ready", status.ready}});
}
inline std::string StatusText(const ota::SigningStatus& status) {
  return status.role + " version " + std::to_string(status.version) + ": " +
         std::to_string(status.signatures) + " of " + std::to_string(status.threshold) +
         " signatures" + (status.ready ? ", ready to publish\n" : "\n");
}

// AddReleaseCommand gives `body` the parsed options, the files and the time.
template <typename Options, typename Body>
void AddReleaseCommand(CLI::App* command, CommandSink& sink,
                       const std::shared_ptr<Options>& options, Body body) {
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([&sink, options, body] {
    sink.Run([options, body] {
      PosixFileSystem files;
      return body(files, *options, RealClock().Wall());
    });
  });
}

}  // namespace sallyport::server
