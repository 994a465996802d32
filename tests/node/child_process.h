// ChildProcess: a program started by a test or by the virtual node, and ended with it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "pki/base/result.h"
#include "pki/base/time.h"

namespace sallyport::node {

// ChildProcess owns one child: its destructor kills it (SIGKILL) and reaps it. The kernel kills the
// child too when the thread that started it ends, so start it from a thread that outlives it. One
// thread at a time.
class ChildProcess {
 public:
  // Start runs `argv` (argv[0] is looked up in PATH) with standard output and error appended to
  // `log_path`, or inherited when that is empty. kNotFound when the program cannot be run;
  // kUnavailable otherwise.
  static Result<ChildProcess> Start(const std::vector<std::string>& argv,
                                    const std::string& log_path);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  // pidfd becomes readable when the child ends; owned by this object.
  int pidfd() const { return pidfd_; }
  // Signal does nothing once the child has been reaped.
  void Signal(int signal) const;
  // Wait returns the exit code (128 + signal number when a signal ended it), or nothing when
  // `timeout` passed. A negative timeout waits without end.
  std::optional<int> Wait(Duration timeout);
  // Kill ends the child at once, as a power cut would.
  void Kill();

 private:
  ChildProcess(pid_t pid, int pidfd) : pid_(pid), pidfd_(pidfd) {}
  pid_t pid_;
  int pidfd_;
  std::optional<int> exit_code_;
};

}  // namespace sallyport::node
