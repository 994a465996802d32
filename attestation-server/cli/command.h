// What every command of `sallyport` has in common: a result that main prints, and exit codes
// (docs/operations/cli.md).
#pragma once

#include <functional>
#include <string>

#include "pki/base/result.h"

namespace CLI {
class App;
}

namespace sallyport::server {

// ExitCode: 0 yes or done, 1 a clear no, 2 input or usage wrong, 3 service not reachable, 4
// internal.
enum class ExitCode : int { kYes = 0, kNo = 1, kUsage = 2, kUnreachable = 3, kInternal = 4 };

// CommandResult is what a command prints; `out` and `err` end with a newline unless empty.
struct CommandResult {
  ExitCode code = ExitCode::kYes;
  std::string out;
  std::string err;
};

// ExitCodeOf maps a failure kind to the exit code, once for all commands.
ExitCode ExitCodeOf(Reason reason);

// Failure renders `error`: the sentence on standard error, and with `json` the error object of
// docs/operations/cli.md on standard output. `file`, `line` and `column` are left out when empty or
// 0.
struct SourcePosition {
  std::string file;
  int line = 0;
  int column = 0;
};
CommandResult Failure(const Error& error, bool json, const SourcePosition& at = {});
CommandResult Failure(ExitCode code, const Error& error, bool json, const SourcePosition& at = {});

// CommandSink takes the chosen command to run after parsing. A group registers its commands with
//   void AddXCommands(CLI::App& app, CommandSink& sink);
// and each callback does `sink.Run([options] { return DoIt(*options); })`. `json` is a flag of each
// command.
class CommandSink {
 public:
  void Run(std::function<CommandResult()> command) { command_ = std::move(command); }
  const std::function<CommandResult()>& command() const { return command_; }

 private:
  std::function<CommandResult()> command_;
};

}  // namespace sallyport::server
