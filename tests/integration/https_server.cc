#include "tests/integration/https_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <optional>

namespace sallyport {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<uint16_t>(port));
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

int ListenOnLoopback(int& port) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SP_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(fd, 64) == 0);
  SP_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port = ntohs(address.sin_port);
  return fd;
}

void AddExtension(X509* certificate, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  SP_CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

pki::X509Ptr SelfSigned(EVP_PKEY* key) {
  pki::X509Ptr out(X509_new());
  X509_set_version(out.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(out.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), 3600);
  X509_set_pubkey(out.get(), key);
  X509_NAME* const name = X509_get_subject_name(out.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("mirror"), -1, -1, 0);
  X509_set_issuer_name(out.get(), name);
  AddExtension(out.get(), NID_subject_alt_name, "IP:127.0.0.1");
  SP_CHECK(X509_sign(out.get(), key, EVP_sha256()) > 0);
  return out;
}

// UseSelfSigned gives `context` a certificate of its own, and returns it.
std::string UseSelfSigned(SSL_CTX* context) {
  const pki::EvpPkey key(EVP_EC_gen("P-256"));
  const pki::X509Ptr certificate = SelfSigned(key.get());
  SSL_CTX_use_certificate(context, certificate.get());
  SSL_CTX_use_PrivateKey(context, key.get());
  const pki::BioPtr bio(BIO_new(BIO_s_mem()));
  SP_CHECK(PEM_write_bio_X509(bio.get(), certificate.get()) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

// Asked is the range of a request; nullopt without one.
std::optional<std::pair<uint64_t, uint64_t>> AskedRange(const std::string& head) {
  const size_t at = head.find("Range: bytes=");
  if (at == std::string::npos) return std::nullopt;
  char* end = nullptr;
  const uint64_t first = std::strtoull(head.c_str() + at + 13, &end, 10);
  return std::pair{first, uint64_t{std::strtoull(end + 1, nullptr, 10)}};
}

void IgnoreSigpipe() {
  static const bool once = ::signal(SIGPIPE, SIG_IGN) != SIG_ERR;
  SP_CHECK(once);
}

}  // namespace

HttpsServer::HttpsServer() : context_(SSL_CTX_new(TLS_server_method())) {
  IgnoreSigpipe();
  ca_pem_ = UseSelfSigned(context_.get());
  // It asks for a client certificate and takes none: what would come is counted.
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
  listener_ = ListenOnLoopback(port_);
  thread_ = std::thread([this] { Accept(); });
}

HttpsServer::~HttpsServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    stopped_.notify_all();
  }
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  close(listener_);
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& worker : workers_) worker.join();
  for (const int fd : open_) close(fd);
}

void HttpsServer::Accept() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    ++connections;
    const std::lock_guard lock(mutex_);
    open_.push_back(fd);
    workers_.emplace_back([this, fd] { Serve(fd); });
  }
}

void HttpsServer::Serve(int fd) {
  const pki::Owned<SSL, SSL_free> ssl(SSL_new(context_.get()));
  SSL_set_fd(ssl.get(), fd);
  bool more = SSL_accept(ssl.get()) == 1;
  if (more && pki::X509Ptr(SSL_get1_peer_certificate(ssl.get()))) ++client_certificates;
  std::string head;
  std::array<char, 4096> buffer;
  while (more) {
    const int got = SSL_read(ssl.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    head.append(buffer.data(), static_cast<size_t>(got));
    if (head.find("\r\n\r\n") == std::string::npos) continue;
    ++requests;
    more = Answer(ssl.get(), head);
    head.clear();
  }
  pki::DrainOpenSslErrors();
  shutdown(fd, SHUT_RDWR);
}

bool HttpsServer::StopsWithin(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return stopped_.wait_for(lock, time, [this] { return stopping_.load(); });
}

bool HttpsServer::Send(SSL* ssl, ByteView bytes) {
  return bytes.empty() || SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size())) > 0;
}

bool HttpsServer::SendBody(SSL* ssl, ByteView body) {
  const Misdeed how = misdeed;
  const size_t chunk = how == Misdeed::kTrickles ? 100 : size_t{64} << 10;
  const size_t end = how == Misdeed::kBreaksOff ? body.size() / 2 : body.size();
  if (how == Misdeed::kStalls) {
    while (!StopsWithin(std::chrono::seconds(60))) {
    }
    return false;
  }
  for (size_t at = 0; at < end; at += chunk) {
    const ByteView part = body.subspan(at, std::min(chunk, end - at));
    if (stopping_ || !Send(ssl, part)) return false;
    body_bytes += part.size();
    if (how == Misdeed::kTrickles && StopsWithin(std::chrono::milliseconds(100))) return false;
  }
  return end == body.size();
}

bool HttpsServer::Answer(SSL* ssl, const std::string& head) {
  const Misdeed how = misdeed;
  const size_t from = head.find(' ') + 1;
  const auto found = files_.find(head.substr(from, head.find(' ', from) - from));
  const auto say = [&](const std::string& text) { return Send(ssl, AsBytes(text)); };
  if (how == Misdeed::kRedirects)
    return say("HTTP/1.1 302 Found\r\nLocation: " + redirect_to + "\r\nContent-Length: 0\r\n\r\n");
  if (found == files_.end()) return say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  Bytes body = found->second;
  const auto range = how == Misdeed::kIgnoresRange ? std::nullopt : AskedRange(head);
  std::string answer = "HTTP/1.1 200 OK\r\n";
  if (range) {
    const uint64_t first = range->first + (how == Misdeed::kOtherRange ? 1 : 0);
    const uint64_t last = std::min<uint64_t>(range->second, body.size() - 1);
    answer = "HTTP/1.1 206 Partial Content\r\n";
    if (how != Misdeed::kNoRangeHead)
      answer += "Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" +
                std::to_string(body.size()) + "\r\n";
    body = Bytes(body.begin() + static_cast<int64_t>(first),
                 body.begin() + static_cast<int64_t>(last) + 1);
  }
  if (how == Misdeed::kWrongBytes) body[body.size() / 2] ^= 1;
  if (how == Misdeed::kTruncated) body.resize(body.size() / 2);
  if (how == Misdeed::kEndless) body.resize(body.size() + (64 << 20));
  if (!say(answer + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n")) return false;
  return head.starts_with("HEAD") || SendBody(ssl, body);
}

ConnectProxy::ConnectProxy() {
  IgnoreSigpipe();
  listener_ = ListenOnLoopback(port_);
  thread_ = std::thread([this] { Accept(); });
}

ConnectProxy::~ConnectProxy() {
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  close(listener_);
  for (std::thread& worker : workers_) worker.join();
}

std::vector<std::string> ConnectProxy::targets() const {
  const std::lock_guard lock(mutex_);
  return targets_;
}

void ConnectProxy::Accept() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(mutex_);
    workers_.emplace_back([this, fd] { Relay(fd); });
  }
}

// Both ends close when either does; a client that keeps its connection is cut when it goes.
void ConnectProxy::Relay(int client) {
  std::array<char, 65536> buffer;
  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    const ssize_t got = recv(client, buffer.data(), buffer.size(), 0);
    if (got <= 0) break;
    head.append(buffer.data(), static_cast<size_t>(got));
  }
  const std::string target = head.substr(8, head.find(' ', 8) - 8);  // CONNECT host:port
  {
    const std::lock_guard lock(mutex_);
    targets_.push_back(target);
  }
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in to = Loopback(std::atoi(target.c_str() + target.rfind(':') + 1));
  bool open = connect(server, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  const std::string answer =
      open ? "HTTP/1.1 200 Connected\r\n\r\n" : "HTTP/1.1 502 Bad Gateway\r\n\r\n";
  open = send(client, answer.data(), answer.size(), MSG_NOSIGNAL) > 0 && open;
  while (open) {
    std::array<pollfd, 2> ready{{{client, POLLIN, 0}, {server, POLLIN, 0}}};
    SP_CHECK(poll(ready.data(), ready.size(), -1) > 0);
    const bool from_client = ready[0].revents != 0;
    const ssize_t got = recv(from_client ? client : server, buffer.data(), buffer.size(), 0);
    open = got > 0 && send(from_client ? server : client, buffer.data(), static_cast<size_t>(got),
                           MSG_NOSIGNAL) == got;
  }
  close(server);
  close(client);
}

TlsFront::TlsFront() : context_(SSL_CTX_new(TLS_server_method())) {
  ca_pem_ = UseSelfSigned(context_.get());
  listener_ = ListenOnLoopback(port_);
  thread_ = std::thread([this] { Accept(); });
}

TlsFront::~TlsFront() {
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  close(listener_);
  for (std::thread& worker : workers_) worker.join();
}

void TlsFront::Accept() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(mutex_);
    workers_.emplace_back([this, fd] { Relay(fd); });
  }
}

void TlsFront::Relay(int client) {
  const pki::Owned<SSL, SSL_free> ssl(SSL_new(context_.get()));
  SSL_set_fd(ssl.get(), client);
  const int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in to = Loopback(proxy_.port());
  bool open = SSL_accept(ssl.get()) == 1 &&
              connect(plain, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  std::array<char, 65536> buffer;
  while (open) {
    std::array<pollfd, 2> ready{{{client, POLLIN, 0}, {plain, POLLIN, 0}}};
    if (SSL_pending(ssl.get()) == 0) SP_CHECK(poll(ready.data(), ready.size(), -1) > 0);
    if (SSL_pending(ssl.get()) > 0 || ready[0].revents != 0) {
      const int got = SSL_read(ssl.get(), buffer.data(), static_cast<int>(buffer.size()));
      open = got > 0 && send(plain, buffer.data(), static_cast<size_t>(got), MSG_NOSIGNAL) == got;
    } else {
      const ssize_t got = recv(plain, buffer.data(), buffer.size(), 0);
      open = got > 0 && SSL_write(ssl.get(), buffer.data(), static_cast<int>(got)) == got;
    }
  }
  close(plain);
  close(client);
}

}  // namespace sallyport
