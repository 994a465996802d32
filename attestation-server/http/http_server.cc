#include "attestation-server/http/http_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace sallyport::server {
namespace {

using SslPtr = pki::Owned<SSL, SSL_free>;

// Socket owns a connection's descriptor and makes it non-blocking: every wait is a poll with an
// end.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) { ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    ::shutdown(fd_, SHUT_RDWR);
    ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  const int fd_;
};

// How soon an idle connection notices that others wait for its thread.
constexpr Duration kCrowdLook = Milliseconds(100);

// How long a connection waits is the kernel's time, as a socket's own timeouts are.
Duration Now() { return RealClock().Boot(); }

// Await returns whether one of `events` came before `deadline`.
bool Await(int fd, short events, Duration deadline) {
  for (;;) {
    const int64_t left_ms = std::max<int64_t>(0, deadline.ms - Now().ms);
    pollfd waiting{fd, events, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left_ms));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

// Moved is what a transport did: bytes (0: the other end closed; -1: broken), or the poll events
// without which it cannot go on.
struct Moved {
  ssize_t bytes = -1;
  short wait = 0;
};

template <typename Move>
ssize_t MoveUntil(int fd, Duration deadline, Move move) {
  for (;;) {
    const Moved moved = move();
    if (moved.wait == 0) return moved.bytes;
    if (!Await(fd, moved.wait, deadline)) return -1;
  }
}

class PlainTransport {
 public:
  explicit PlainTransport(int fd) : fd_(fd) {}
  Moved Read(char* out, size_t size) { return Done(::recv(fd_, out, size, 0), POLLIN); }
  Moved Write(const char* data, size_t size) {
    return Done(::send(fd_, data, size, MSG_NOSIGNAL), POLLOUT);
  }
  bool HasPending() const { return false; }

 private:
  static Moved Done(ssize_t bytes, short event) {
    const bool again = bytes < 0 && (errno == EAGAIN || errno == EINTR);
    return again ? Moved{0, event} : Moved{bytes};
  }
  int fd_;
};

class TlsTransport {
 public:
  explicit TlsTransport(SSL* ssl) : ssl_(ssl) {}
  Moved Accept() { return Done(SSL_accept(ssl_)); }
  Moved Read(char* out, size_t size) {
    return Done(SSL_read(ssl_, out, static_cast<int>(std::min<size_t>(size, INT_MAX))));
  }
  Moved Write(const char* data, size_t size) {
    return Done(SSL_write(ssl_, data, static_cast<int>(std::min<size_t>(size, INT_MAX))));
  }
  bool HasPending() const { return SSL_has_pending(ssl_) == 1; }

 private:
  Moved Done(int result) {
    if (result > 0) return {result};
    const int error = SSL_get_error(ssl_, result);
    pki::DrainOpenSslErrors();
    if (error == SSL_ERROR_WANT_READ) return {0, POLLIN};
    if (error == SSL_ERROR_WANT_WRITE) return {0, POLLOUT};
    return {error == SSL_ERROR_ZERO_RETURN ? 0 : -1};
  }
  SSL* ssl_;
};

// Connection is what the library reads requests from. No request of ours has a body: all that is
// read is the head.
template <typename Transport>
class Connection final : public httplib::Stream {
 public:
  Connection(int fd, Transport transport, Duration stall)
      : fd_(fd), transport_(transport), stall_(stall) {}

  // AwaitHead returns whether the client began another request within `idle` and, unless
  // `crowd` is null, before others waited; its head's time runs from then.
  bool AwaitHead(Duration idle, const Crowd* crowd) {
    if (at_ == end_ && !transport_.HasPending() && !AwaitRequest(In(idle), crowd)) return false;
    head_ends_ = In(kHeadTime);
    head_left_ = kHeadBytesMax;
    return true;
  }

  ssize_t read(char* out, size_t size) override {
    if (head_left_ == 0 || (at_ == end_ && !Fill())) return -1;
    const size_t taken = std::min({size, end_ - at_, head_left_});
    std::copy_n(buffer_.data() + at_, taken, out);
    at_ += taken;
    head_left_ -= taken;
    return static_cast<ssize_t>(taken);
  }
  ssize_t write(const char* data, size_t size) override {
    return MoveUntil(fd_, In(stall_), [&] { return transport_.Write(data, size); });
  }
  bool is_readable() const override { return at_ < end_ || Await(fd_, POLLIN, head_ends_); }
  bool is_writable() const override { return Await(fd_, POLLOUT, In(stall_)); }
  void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  socket_t socket() const override { return fd_; }

 private:
  bool AwaitRequest(Duration deadline, const Crowd* crowd) {
    for (;;) {
      const Duration look = crowd == nullptr ? deadline : std::min(deadline, In(kCrowdLook));
      if (Await(fd_, POLLIN, look)) return true;
      if (look == deadline || crowd->waiting > 0) return false;
    }
  }
  static Duration In(Duration time) { return Duration{Now().ms + time.ms}; }
  bool Fill() {
    const ssize_t got = MoveUntil(
        fd_, head_ends_, [this] { return transport_.Read(buffer_.data(), buffer_.size()); });
    at_ = 0;
    end_ = got > 0 ? static_cast<size_t>(got) : 0;
    return got > 0;
  }

  const int fd_;
  Transport transport_;
  const Duration stall_;
  Duration head_ends_{};
  size_t head_left_ = 0;
  std::array<char, 4096> buffer_;
  size_t at_ = 0;
  size_t end_ = 0;
};

}  // namespace

template <typename Connection>
void HttpServer::ServeRequests(Connection& connection,
                               const std::function<void(httplib::Request&)>& set_up_request) {
  const Duration idle = Seconds(keep_alive_timeout_sec_);
  for (size_t left = keep_alive_max_count_; left > 0 && svr_sock_ != INVALID_SOCKET; --left) {
    bool closed = false;
    // A new connection gets the time that its first request needs on its way.
    const bool first = left == keep_alive_max_count_;
    if (!connection.AwaitHead(idle, first ? nullptr : crowd_.get()) ||
        !process_request(connection, left == 1, closed, set_up_request) || closed)
      return;
  }
}

HttpServer::HttpServer(size_t connections_max) {
  new_task_queue = [connections_max, crowd = crowd_] {
    return new ConnectionThreads(connections_max, crowd);
  };
}

bool HttpServer::Bind(const std::string& host, int port) {
  return bind_to_port(host, port) && ::listen(svr_sock_, SOMAXCONN) == 0;
}

bool HttpServer::process_and_close_socket(socket_t fd) {
  const Socket socket(fd);
  Connection connection(fd, PlainTransport(fd), Seconds(write_timeout_sec_));
  ServeRequests(connection, nullptr);
  return true;
}

HttpsServer::HttpsServer(size_t connections_max, const std::function<bool(SSL_CTX&)>& configure)
    : HttpServer(connections_max), context_(SSL_CTX_new(TLS_server_method())) {
  if (context_ && !configure(*context_)) context_.reset();
}

bool HttpsServer::process_and_close_socket(socket_t fd) {
  const Socket socket(fd);
  const SslPtr ssl(SSL_new(context_.get()));
  if (!ssl || SSL_set_fd(ssl.get(), fd) != 1) return false;
  TlsTransport transport(ssl.get());
  const Duration deadline{Now().ms + kHandshakeTime.ms};
  if (MoveUntil(fd, deadline, [&] { return transport.Accept(); }) <= 0) return false;
  Connection connection(fd, transport, Seconds(write_timeout_sec_));
  ServeRequests(connection, [&ssl](httplib::Request& request) { request.ssl = ssl.get(); });
  SSL_shutdown(ssl.get());
  pki::DrainOpenSslErrors();
  return true;
}

}  // namespace sallyport::server
