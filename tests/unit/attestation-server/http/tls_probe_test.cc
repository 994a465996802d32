#include "attestation-server/http/tls_probe.h"

#include <thread>

#include "attestation-server/http/health_server.h"
#include "tests/unit/attestation-server/http/loopback.h"

namespace sallyport::server {
namespace {

// FakeTlsServer accepts connections as a server that speaks at least `min_version`.
class FakeTlsServer {
 public:
  FakeTlsServer(int min_version, int verify) : context_(SSL_CTX_new(TLS_server_method())) {
    pki::World world;
    const Bytes leaf = world.Server().der;
    SSL_CTX_set_min_proto_version(context_.get(), min_version);
    SSL_CTX_use_certificate_ASN1(context_.get(), static_cast<int>(leaf.size()), leaf.data());
    SSL_CTX_use_PrivateKey(context_.get(), static_cast<EVP_PKEY*>(world.key.native()));
    SSL_CTX_set_verify(context_.get(), verify, nullptr);
    listener_ = *Listen(port_, [](const std::string& address) { return Bind(address); });
    thread_ = std::thread([this] { Accept(); });
  }
  ~FakeTlsServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  static Result<int> Bind(const std::string& address) {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(socket, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0 &&
        ::listen(socket, 1) == 0)
      return socket;
    ::close(socket);
    return Error{Reason::kUnavailable, "taken", "listen.bind"};
  }
  void Accept() {
    for (int socket; (socket = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(socket)) {
      const SslPtr ssl(SSL_new(context_.get()));
      SSL_set_fd(ssl.get(), socket);
      SSL_accept(ssl.get());
      pki::DrainOpenSslErrors();
    }
  }

  SslCtxPtr context_;
  int port_ = 0;
  int listener_ = -1;
  std::thread thread_;
};

TEST(ProbeRefusesTls12, PassesAServerOfTls13Only) {
  const FakeTlsServer server(TLS1_3_VERSION, SSL_VERIFY_NONE);
  const auto probe = ProbeRefusesTls12(server.address());
  EXPECT_TRUE(probe.has_value()) << probe.error().ToString();
}

TEST(ProbeRefusesTls12, FindsAServerThatAcceptsTls12) {
  const FakeTlsServer server(TLS1_2_VERSION, SSL_VERIFY_NONE);
  const auto probe = ProbeRefusesTls12(server.address());
  ASSERT_FALSE(probe.has_value());
  EXPECT_EQ(probe.error().rule, "tls.1-2-accepted");
}

TEST(ProbeRefusesTls12, FindsItBehindARequiredClientCertificate) {
  const FakeTlsServer server(TLS1_2_VERSION, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
  const auto probe = ProbeRefusesTls12(server.address());
  ASSERT_FALSE(probe.has_value());
  EXPECT_EQ(probe.error().rule, "tls.1-2-accepted");
}

TEST(ProbeRefusesTls12, TakesSilenceForNoProof) {
  const Metrics metrics;
  int port = 0;
  const auto plain = *Listen(port, [&](const std::string& address) {
    return HealthServer::Start(address, metrics, [] { return Ok(); });
  });
  const std::string address = "127.0.0.1:" + std::to_string(port);
  EXPECT_EQ(ProbeRefusesTls12(address).error().reason, Reason::kUnavailable);

  plain->Stop();
  EXPECT_EQ(ProbeRefusesTls12(address).error().reason, Reason::kUnavailable);
}

}  // namespace
}  // namespace sallyport::server
