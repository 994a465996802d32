// The servers of cpp-httplib on connections of our own. The library's wait for each byte anew and
// read heads of any length: a client that sends a byte now and then would keep a thread for ever.
#pragma once

#include <httplib.h>
#include <openssl/ssl.h>

#include <functional>
#include <memory>

#include "attestation-server/http/connection_threads.h"
#include "pki/base/time.h"
#include "pki/crypto/openssl_ptr.h"

namespace sallyport::server {

// A client has this long for its handshake, and again for the head of each request, however busily
// it trickles. One round trip needs a hundredth of it.
inline constexpr Duration kHandshakeTime = Seconds(5);
inline constexpr Duration kHeadTime = Seconds(5);
// The head of one request: a path, a range and what clients say of themselves.
inline constexpr size_t kHeadBytesMax = size_t{16} << 10;

// HttpServer speaks plain HTTP. Both take the keep-alive and write timeouts that are set on them.
class HttpServer : public httplib::Server {
 public:
  // HttpServer serves `connections_max` at once; further ones wait. A connection that is idle while
  // others wait is closed.
  explicit HttpServer(size_t connections_max);
  // Bind: false when the address is taken or not ours. Bursts wait in the kernel's queue instead of
  // the library's, which has room for five.
  bool Bind(const std::string& host, int port);

 protected:
  // ServeRequests answers requests of one connection until either end has enough.
  template <typename Connection>
  void ServeRequests(Connection& connection,
                     const std::function<void(httplib::Request&)>& set_up_request);

 private:
  bool process_and_close_socket(socket_t socket) override;

  const std::shared_ptr<Crowd> crowd_ = std::make_shared<Crowd>();  // shared with the threads
};

// HttpsServer speaks HTTP over TLS as `configure` says; not valid when that returns false.
class HttpsServer final : public HttpServer {
 public:
  HttpsServer(size_t connections_max, const std::function<bool(SSL_CTX&)>& configure);
  bool is_valid() const override { return context_ != nullptr; }

 private:
  bool process_and_close_socket(socket_t socket) override;
  pki::Owned<SSL_CTX, SSL_CTX_free> context_;
};

}  // namespace sallyport::server
