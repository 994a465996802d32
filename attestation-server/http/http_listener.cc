#include "attestation-server/http/http_listener.h"

#include <charconv>

#include "attestation-server/http/http_server.h"

namespace sallyport::server {
namespace {

constexpr time_t kIdleSeconds = 2;               // Stop waits this long for idle connections
constexpr time_t kStallSeconds = 10;             // a peer that does not read
constexpr size_t kRequestsPerConnection = 1000;  // then a new handshake judges the peer again

struct Address {
  std::string host;
  int port = 0;
};

Result<Address> ParseAddress(const std::string& text) {
  const Error refused{Reason::kInvalidArgument, "'" + text + "' is not host:port",
                      "listen.address"};
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return refused;
  Address out{text.substr(0, colon), 0};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, out.port);
  if (error != std::errc() || stop != end || out.port < 1 || out.port > UINT16_MAX) return refused;
  if (out.host.front() == '[' && out.host.back() == ']')
    out.host = out.host.substr(1, out.host.size() - 2);
  return out;
}

// SO_REUSEPORT, the library's default, would let a second process share our port in silence.
void OwnThePort(socket_t socket) {
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
}

}  // namespace

HttpListener::HttpListener(std::unique_ptr<HttpServer> server) : server_(std::move(server)) {}

HttpListener::~HttpListener() { Stop(); }

Result<std::unique_ptr<HttpListener>> HttpListener::Start(std::unique_ptr<HttpServer> server,
                                                          const std::string& address) {
  SP_TRY(const Address where, ParseAddress(address));
  server->set_socket_options(OwnThePort);
  server->set_keep_alive_timeout(kIdleSeconds);
  server->set_keep_alive_max_count(kRequestsPerConnection);
  server->set_write_timeout(kStallSeconds);
  server->set_payload_max_length(0);  // no request of ours has a body
  if (!server->is_valid() || !server->Bind(where.host, where.port))
    return Error{Reason::kUnavailable, "cannot listen on " + address, "listen.bind"};
  std::unique_ptr<HttpListener> listener(new HttpListener(std::move(server)));
  listener->thread_ = std::thread([self = listener.get()] {
    self->server_->listen_after_bind();
    self->ended_ = true;
  });
  // stop() before the loop runs is lost, so Start ends only when it runs.
  while (!listener->server_->is_running() && !listener->ended_) std::this_thread::yield();
  return listener;
}

void HttpListener::Stop() {
  if (!thread_.joinable()) return;
  server_->stop();
  thread_.join();
}

}  // namespace sallyport::server
