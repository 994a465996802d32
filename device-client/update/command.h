// CommandRunner starts programs of the machine's owner: hooks, probes, systemctl. No shell, no
// inherited environment or descriptor, an end in time, and output that is bounded.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "pki/base/result.h"
#include "pki/base/time.h"

namespace sallyport::device {

struct Command {
  std::vector<std::string> argv;  // the program by absolute path
  std::vector<std::string> environment;
  Duration timeout;
};

struct CommandResult {
  int exit_status = 0;
  std::string output;  // the end of what it wrote to standard output and error; any bytes
};

// How much of a program's output is kept.
inline constexpr size_t kCommandOutputMax = 4096;

class CommandRunner {
 public:
  virtual ~CommandRunner() = default;
  // Run waits for the program. kNotFound, command.missing; kUnavailable with command.timeout,
  // command.signal (it was killed), command.stopped.
  virtual Result<CommandResult> Run(const Command& command) = 0;
  // Connect opens a TCP connection to a numeric host:port and closes it. kUnavailable,
  // command.connect.
  virtual Result<Unit> Connect(const std::string& address, Duration timeout) = 0;
};

// RunToSuccess: as Run; kUnavailable, command.failed, for an exit status but 0. The detail holds
// the end of the output, printable.
Result<Unit> RunToSuccess(CommandRunner& runner, const Command& command);

// PosixCommandRunner is constructed in composition roots only. A program that does not end in time
// is killed with its process group. One thread at a time, but for Stop.
class PosixCommandRunner final : public CommandRunner {
 public:
  // Borrows `clock`.
  explicit PosixCommandRunner(const Clock& clock) : clock_(clock) {}
  Result<CommandResult> Run(const Command& command) override;
  Result<Unit> Connect(const std::string& address, Duration timeout) override;
  // Stop kills what runs, and refuses what comes after. Thread-safe.
  void Stop() { stopping_ = true; }

 private:
  Result<CommandResult> Await(int pid, int output, Duration ends);

  const Clock& clock_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace sallyport::device
