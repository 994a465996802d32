#include "device-client/state_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace sallyport::device {
namespace {

std::string PathOf(const std::string& state) { return state + "/lock"; }

struct flock WholeFile() {
  struct flock out{};
  out.l_type = F_WRLCK;
  out.l_whence = SEEK_SET;
  return out;
}

Error FromErrno(int code, const std::string& what) {
  return Error{Reason::kUnavailable, what + ": " + std::system_category().message(code)};
}

}  // namespace

Result<StateLock> StateLock::Take(const std::string& state) {
  const std::string path = PathOf(state);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return FromErrno(errno, "open " + path);
  StateLock lock(fd);
  struct flock whole = WholeFile();
  if (::fcntl(fd, F_OFD_SETLK, &whole) == 0) return lock;
  if (errno != EAGAIN && errno != EACCES) return FromErrno(errno, "lock " + path);
  return Error{Reason::kConflict, "another agent runs over " + state, "agent.running"};
}

Result<Unit> StateLock::CheckHeld(const std::string& state) {
  const std::string path = PathOf(state);
  const Error absent{Reason::kUnavailable, "no agent runs over " + state + ": start it",
                     "agent.not-running"};
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? absent : FromErrno(errno, "open " + path);
  const StateLock closes(fd);
  struct flock whole = WholeFile();
  if (::fcntl(fd, F_OFD_GETLK, &whole) != 0) return FromErrno(errno, "lock " + path);
  if (whole.l_type == F_UNLCK) return absent;
  return Unit{};
}

StateLock::StateLock(StateLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

StateLock::~StateLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace sallyport::device
