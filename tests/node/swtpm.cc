#include "tests/node/swtpm.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>

#include "pki/base/file_system.h"

namespace sallyport::node {
namespace {

constexpr Duration kStartTimeout =
    Seconds(20);  // 8 ms on an idle machine; sanitizer builds share two cores
constexpr Duration kPollInterval = Milliseconds(2);
constexpr Duration kStopTimeout = Seconds(5);
constexpr std::string_view kControlSuffix =
    ".ctrl";  // the TCTI derives the control socket's name like this

// TPM2_Shutdown(TPM_SU_CLEAR): TPM_ST_NO_SESSIONS, size 12, TPM_CC_Shutdown.
constexpr std::array<uint8_t, 12> kShutdownClear{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x45, 0, 0};

// Connect returns a descriptor or -1.
int Connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
    return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

// SendShutdown ignores failures: a TPM that cannot be shut down in order loses its power without
// it.
void SendShutdown(const std::string& path) {
  const int fd = Connect(path);
  if (fd < 0) return;
  std::array<uint8_t, 10> answer;
  if (::send(fd, kShutdownClear.data(), kShutdownClear.size(), MSG_NOSIGNAL) ==
      ssize_t{kShutdownClear.size()}) [[maybe_unused]]
    const ssize_t got = ::recv(fd, answer.data(), answer.size(), MSG_WAITALL);
  ::close(fd);
}

Result<Unit> AwaitSocket(const std::string& path, ChildProcess& process) {
  for (Duration waited{}; waited < kStartTimeout; waited.ms += kPollInterval.ms) {
    if (const int fd = Connect(path); fd >= 0) {
      ::close(fd);
      return Ok();
    }
    if (process.Wait(kPollInterval))
      return Error{Reason::kUnavailable, "swtpm ended at start, see its log"};
  }
  return Error{Reason::kUnavailable, "swtpm does not answer on " + path};
}

}  // namespace

Result<SwTpm> SwTpm::Start(const std::string& dir) {
  SwTpm tpm(dir);
  if (tpm.SocketPath().size() + kControlSuffix.size() >= sizeof(sockaddr_un::sun_path))
    return Error{Reason::kTooLarge, "path too long for a unix socket: " + tpm.SocketPath()};
  PosixFileSystem files;
  SP_TRY(files.MakeDirectories(dir));
  SP_TRY(tpm.PowerOn());
  return tpm;
}

Result<Unit> SwTpm::PowerOn() {
  SP_CHECK(!process_);
  const std::string control = SocketPath() + std::string(kControlSuffix);
  ::unlink(SocketPath().c_str());
  ::unlink(control.c_str());
  SP_TRY(process_, ChildProcess::Start(
                       {"swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + dir_, "--server",
                        "type=unixio,path=" + SocketPath(), "--ctrl", "type=unixio,path=" + control,
                        "--flags", "not-need-init,startup-clear"},
                       dir_ + "/swtpm.log"));
  Result<Unit> ready = AwaitSocket(SocketPath(), *process_);
  if (!ready) process_.reset();
  return ready;
}

void SwTpm::CutPower() { process_.reset(); }

void SwTpm::Stop() {
  if (!process_) return;
  SendShutdown(SocketPath());
  process_->Signal(SIGTERM);
  process_->Wait(kStopTimeout);
  process_.reset();
}

Result<Unit> SwTpm::Reset() {
  Stop();
  return PowerOn();
}

std::string SwTpm::RelayTcti() const {
  return "cmd:echo $$ > " + dir_ + "/relay.pid; exec socat -t 0 STDIO UNIX-CONNECT:" + SocketPath();
}

void SwTpm::CutRelay() const {
  pid_t relay = 0;
  std::ifstream(dir_ + "/relay.pid") >> relay;
  SP_CHECK(relay > 0 && ::kill(relay, SIGKILL) == 0);
}

}  // namespace sallyport::node
