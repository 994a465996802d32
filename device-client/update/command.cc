#include "device-client/update/command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "device-client/enforce/socket.h"
#include "pki/base/printable.h"

namespace sallyport::device {
namespace {

constexpr std::string_view kPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int kSliceMs = 100;  // how late Stop may be noticed
constexpr size_t kDetailMax = 512;

// Actions says what the program finds open: nothing to read, and the pipe to write to.
class Actions {
 public:
  explicit Actions(int output) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, output, STDERR_FILENO);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~Actions() {
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&actions_);
  }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  int Spawn(pid_t& pid, std::vector<std::string> argv, std::vector<std::string> environment) {
    environment.emplace_back(kPath);
    return ::posix_spawn(&pid, argv.front().c_str(), &actions_, &attributes_, Pointers(argv).data(),
                         Pointers(environment).data());
  }

 private:
  static std::vector<char*> Pointers(std::vector<std::string>& words) {
    std::vector<char*> out;
    for (std::string& word : words) out.push_back(word.data());
    out.push_back(nullptr);
    return out;
  }
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

// Drain reads what is there, and keeps the end of it; false at the end of the pipe.
struct Open {
  bool value;
};
Open Drain(int fd, std::string& tail) {
  char buffer[4096];
  while (true) {
    const ssize_t size = ::read(fd, buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return {size < 0 && errno == EAGAIN};
    tail.append(buffer, static_cast<size_t>(size));
    if (tail.size() > 2 * kCommandOutputMax) tail.erase(0, tail.size() - kCommandOutputMax);
  }
}

Error Killed(pid_t pid, std::string_view why, std::string_view rule) {
  ::kill(-pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return Error{Reason::kUnavailable, std::string(why), rule};
}

}  // namespace

Result<CommandResult> PosixCommandRunner::Run(const Command& command) {
  if (command.argv.empty() || !command.argv.front().starts_with('/'))
    return Error{Reason::kInvalidArgument, "a program is named by its absolute path",
                 "command.path"};
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
    return Error{Reason::kUnavailable, std::strerror(errno), "command.pipe"};
  const UniqueFd reader(fds[0]);
  UniqueFd writer(fds[1]);
  pid_t pid = -1;
  const int failed = Actions(writer.get()).Spawn(pid, command.argv, command.environment);
  writer.Reset();
  if (failed != 0)
    return Error{Reason::kNotFound, command.argv.front() + ": " + std::strerror(failed),
                 "command.missing"};
  return Await(pid, reader.get(), Duration{clock_.Boot().ms + command.timeout.ms});
}

Result<CommandResult> PosixCommandRunner::Await(int pid, int output, Duration ends) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  CommandResult result;
  pollfd fds[] = {{process.get(), POLLIN, 0}, {output, POLLIN, 0}};
  while (fds[0].revents == 0) {
    const int64_t left = ends.ms - clock_.Boot().ms;
    if (stopping_) return Killed(pid, "the agent is stopping", "command.stopped");
    if (left <= 0) return Killed(pid, "it did not end in time", "command.timeout");
    if (::poll(fds, 2, static_cast<int>(std::min<int64_t>(left, kSliceMs))) < 0) continue;
    if (fds[1].revents != 0 && !Drain(output, result.output).value) fds[1].fd = -1;
  }
  if (fds[1].fd >= 0) static_cast<void>(Drain(output, result.output));
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
    return Error{Reason::kUnavailable, "it was killed by a signal", "command.signal"};
  result.exit_status = WEXITSTATUS(status);
  if (result.output.size() > kCommandOutputMax)
    result.output.erase(0, result.output.size() - kCommandOutputMax);
  return result;
}

Result<Unit> PosixCommandRunner::Connect(const std::string& address, Duration timeout) {
  const auto failed = [&address](const std::string& why) {
    return Error{Reason::kUnavailable, address + ": " + why, "command.connect"};
  };
  const Result<UniqueFd> fd = StartConnect(address);
  if (!fd) return failed(fd.error().ToString());
  pollfd ready{fd->get(), POLLOUT, 0};
  if (::poll(&ready, 1, static_cast<int>(timeout.ms)) <= 0) return failed("no answer in time");
  const int error = ConnectError(fd->get());
  if (error != 0) return failed(std::strerror(error));
  return Unit{};
}

Result<Unit> RunToSuccess(CommandRunner& runner, const Command& command) {
  SP_TRY(const CommandResult result, runner.Run(command));
  if (result.exit_status == 0) return Unit{};
  const std::string said = PrintableLine(result.output);
  return Error{Reason::kUnavailable,
               "exit status " + std::to_string(result.exit_status) +
                   (said.empty() ? "" : ": " + std::string(TailOf(said, kDetailMax))),
               "command.failed"};
}

}  // namespace sallyport::device
