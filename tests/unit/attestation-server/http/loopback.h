// Loopback servers and a client that writes HTTP by hand, so that it can be wrong on purpose.
#pragma once

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "pki/crypto/openssl_ptr.h"
#include "tests/unit/pki/x509/world.h"

namespace sallyport {

using SslCtxPtr = pki::Owned<SSL_CTX, SSL_CTX_free>;
using SslPtr = pki::Owned<SSL, SSL_free>;
using SessionPtr = pki::Owned<SSL_SESSION, SSL_SESSION_free>;

// Listen calls `start` with addresses below the ephemeral range until one is free.
template <typename Start>
auto Listen(int& port, Start start) {
  int candidate = 20000 + ::getpid() * 37 % 12000;
  for (int tries = 0;; ++tries) {
    port = candidate = 20000 + (candidate + 1 - 20000) % 12000;
    auto started = start("127.0.0.1:" + std::to_string(port));
    if (started || started.error().rule != "listen.bind" || tries > 200) return started;
  }
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "sallyport-XXXXXX").string();
    SP_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline int ConnectLoopback(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  SP_CHECK(::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0);
  return socket;
}

struct HttpAnswer {
  int status = 0;
  std::string head;
  std::string body;
  // Header returns the value of `name`, written as the server writes it; empty without one.
  std::string Header(const std::string& name) const {
    const size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

struct ClientTls {
  Bytes leaf;  // empty: no certificate
  const pki::PrivateKey* key = nullptr;
  int max_version = TLS1_3_VERSION;
  SSL_SESSION* session = nullptr;
};

// TlsClient is one connection. It does not judge the server.
class TlsClient {
 public:
  TlsClient(int port, const ClientTls& tls)
      : socket_(ConnectLoopback(port)), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_max_proto_version(context_.get(), tls.max_version);
    ssl_.reset(SSL_new(context_.get()));
    if (!tls.leaf.empty()) {
      SSL_use_certificate_ASN1(ssl_.get(), tls.leaf.data(), static_cast<int>(tls.leaf.size()));
      SSL_use_PrivateKey(ssl_.get(), static_cast<EVP_PKEY*>(tls.key->native()));
    }
    if (tls.session != nullptr) SSL_set_session(ssl_.get(), tls.session);
    SSL_set_fd(ssl_.get(), socket_);
    connected_ = SSL_connect(ssl_.get()) == 1;
    pki::DrainOpenSslErrors();
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  ~TlsClient() {
    ssl_.reset();
    ::close(socket_);
  }

  bool connected() const { return connected_; }
  SSL* ssl() const { return ssl_.get(); }
  SessionPtr session() const { return SessionPtr(SSL_get1_session(ssl_.get())); }
  Sha256Digest server_leaf() const {
    const pki::X509Ptr leaf(SSL_get1_peer_certificate(ssl_.get()));
    uint8_t* raw = nullptr;
    const int size = i2d_X509(leaf.get(), &raw);
    const Sha256Digest digest = pki::Sha256(ByteView(raw, static_cast<size_t>(size)));
    OPENSSL_free(raw);
    return digest;
  }

  // Get returns nothing when the connection ends before a whole head.
  std::optional<HttpAnswer> Get(const std::string& target, const std::string& headers = "") {
    return Send("GET " + target + " HTTP/1.1\r\nHost: content\r\n" + headers + "\r\n", true);
  }
  std::optional<HttpAnswer> Send(const std::string& request, bool body = true) {
    std::optional<HttpAnswer> answer = Head(request);
    if (!answer || !body) return answer;
    const size_t size = std::strtoull(answer->Header("Content-Length").c_str(), nullptr, 10);
    while (rest_.size() < size && Read()) continue;
    answer->body = rest_.substr(0, size);
    rest_.erase(0, size);
    return answer;
  }
  // Head leaves the body in the connection.
  std::optional<HttpAnswer> Head(const std::string& request) {
    if (!connected_ ||
        SSL_write(ssl_.get(), request.data(), static_cast<int>(request.size())) <= 0) {
      pki::DrainOpenSslErrors();
      return std::nullopt;
    }
    while (rest_.find("\r\n\r\n") == std::string::npos)
      if (!Read()) return std::nullopt;
    const size_t end = rest_.find("\r\n\r\n");
    HttpAnswer answer{std::atoi(rest_.c_str() + sizeof("HTTP/1.1")), rest_.substr(0, end + 2), ""};
    rest_.erase(0, end + 4);
    return answer;
  }
  // Skip reads and drops body bytes; returns how many came.
  uint64_t Skip(uint64_t size) {
    uint64_t got = rest_.size();
    rest_.clear();
    while (got < size && Read()) {
      got += rest_.size();
      rest_.clear();
    }
    return got;
  }

 private:
  bool Read() {
    char buffer[16384];
    const int got = SSL_read(ssl_.get(), buffer, sizeof(buffer));
    if (got <= 0) {
      pki::DrainOpenSslErrors();
      return false;
    }
    rest_.append(buffer, static_cast<size_t>(got));
    return true;
  }

  int socket_;
  SslCtxPtr context_;
  SslPtr ssl_;
  bool connected_ = false;
  std::string rest_;
};

}  // namespace sallyport
