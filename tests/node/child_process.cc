#include "tests/node/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace sallyport::node {
namespace {

// RunInChild never returns; the errno of a failed exec goes to `error_pipe`, which a good exec
// closes.
[[noreturn]] void RunInChild(std::vector<char*> argv, const std::string& log_path, int error_pipe) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);  // a blocked signal would stay blocked in the program
  if (!log_path.empty()) {
    const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log >= 0) {
      ::dup2(log, STDOUT_FILENO);
      ::dup2(log, STDERR_FILENO);
    }
  }
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(error_pipe, &error, sizeof(error));
  ::_exit(127);
}

int ExitCode(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

Result<ChildProcess> ChildProcess::Start(const std::vector<std::string>& argv,
                                         const std::string& log_path) {
  SP_CHECK(!argv.empty());
  std::vector<char*> raw;
  for (const std::string& argument : argv) raw.push_back(const_cast<char*>(argument.c_str()));
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0)
    return Error{Reason::kUnavailable, "pipe: " + std::string(std::strerror(errno))};
  const pid_t pid = ::fork();
  if (pid == 0) RunInChild(std::move(raw), log_path, pipe_fds[1]);
  ::close(pipe_fds[1]);
  int error = pid < 0 ? errno : 0;
  if (pid > 0 && ::read(pipe_fds[0], &error, sizeof(error)) != sizeof(error)) error = 0;
  ::close(pipe_fds[0]);
  if (error != 0) {
    if (pid > 0) ::waitpid(pid, nullptr, 0);
    return Error{error == ENOENT ? Reason::kNotFound : Reason::kUnavailable,
                 argv[0] + ": " + std::strerror(error)};
  }
  return ChildProcess(pid, static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      exit_code_(other.exit_code_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(exit_code_, other.exit_code_);
  return *this;
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  Kill();
  ::close(pidfd_);
}

void ChildProcess::Signal(int signal) const {
  if (pid_ > 0 && !exit_code_) ::kill(pid_, signal);
}

std::optional<int> ChildProcess::Wait(Duration timeout) {
  if (exit_code_) return exit_code_;
  pollfd ended{pidfd_, POLLIN, 0};
  int ready;
  do {
    ready = ::poll(&ended, 1, static_cast<int>(timeout.ms));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return std::nullopt;
  int status = 0;
  if (::waitpid(pid_, &status, 0) == pid_) exit_code_ = ExitCode(status);
  return exit_code_;
}

void ChildProcess::Kill() {
  if (exit_code_) return;
  Signal(SIGKILL);
  Wait(Milliseconds(-1));
}

}  // namespace sallyport::node
