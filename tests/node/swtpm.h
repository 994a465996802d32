// SwTpm: a TPM 2.0 of its own in a swtpm process, behind a unix socket.
#pragma once

#include <optional>
#include <string>

#include "tests/node/child_process.h"

namespace sallyport::node {

// SwTpm owns the process and its directory's sockets; the state files stay in the directory, so
// that starting it there again is the same TPM after a power cycle. See ChildProcess about threads.
class SwTpm {
 public:
  // Start creates `dir` when needed and starts the TPM with TPM2_Startup(CLEAR) done. kTooLarge
  // when the path leaves no room for a socket address; kUnavailable when the TPM does not answer.
  static Result<SwTpm> Start(const std::string& dir);

  // tcti is the TCTI configuration for ESAPI and tpm2-tools, valid across Reset.
  std::string tcti() const { return "swtpm:path=" + SocketPath(); }
  // RelayTcti leads to the TPM through a program of its own. CutRelay ends that: a connection that
  // breaks while the TPM goes on.
  std::string RelayTcti() const;
  void CutRelay() const;
  const std::string& dir() const { return dir_; }
  pid_t pid() const { return process_ ? process_->pid() : -1; }

  // Reset is an orderly power cycle: TPM2_Shutdown(CLEAR), power off, on. resetCount rises, PCRs
  // and the null hierarchy start anew.
  Result<Unit> Reset();
  // CutPower ends the TPM at once and leaves it off; PowerOn starts it again.
  void CutPower();
  Result<Unit> PowerOn();
  // Stop is an orderly power off. Does nothing when it is off.
  void Stop();

 private:
  explicit SwTpm(std::string dir) : dir_(std::move(dir)) {}
  std::string SocketPath() const { return dir_ + "/tpm.sock"; }
  std::string dir_;
  std::optional<ChildProcess> process_;
};

}  // namespace sallyport::node
