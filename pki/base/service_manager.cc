#include "pki/base/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace sallyport {

Result<Unit> NotifyServiceManager(const std::string& socket, std::string_view state) {
  if (socket.empty()) return Unit{};
  sockaddr_un address{};
  if (socket.size() >= sizeof(address.sun_path))
    return Error{Reason::kInvalidArgument, "the name of the notification socket is too long"};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket.data(), socket.size());
  if (socket.front() == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error{Reason::kUnavailable, std::strerror(errno)};
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size());
  const ssize_t sent = ::sendto(fd, state.data(), state.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), size);
  const int error = errno;
  ::close(fd);
  if (sent < 0) return Error{Reason::kUnavailable, std::strerror(error)};
  return Unit{};
}

}  // namespace sallyport
