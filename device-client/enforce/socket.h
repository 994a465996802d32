// Non-blocking TCP sockets of the proxy. Addresses are numeric: a name service has no part in who
// is reached.
#pragma once

#include <cstdint>
#include <string>

#include "pki/base/result.h"

namespace sallyport::device {

// UniqueFd owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }
  ~UniqueFd() { Reset(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Listen binds `address` ("127.0.0.1:15008", "[::1]:0"). kInvalidArgument, kUnavailable.
Result<UniqueFd> Listen(const std::string& address);
// Accept returns an invalid descriptor when nobody waits; kNoSpace when the process has no
// descriptor left.
Result<UniqueFd> Accept(int listener);
// StartConnect begins to connect; the descriptor becomes writable when that ended (ConnectError
// says how).
Result<UniqueFd> StartConnect(const std::string& address);
// ConnectError is 0 when connected, else an errno.
int ConnectError(int fd);
uint16_t LocalPort(int fd);
// ResetOnClose makes close send RST, so that the other end sees a cut, not an orderly end.
void ResetOnClose(int fd);

}  // namespace sallyport::device
