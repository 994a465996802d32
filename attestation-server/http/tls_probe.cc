#include "attestation-server/http/tls_probe.h"

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "pki/crypto/openssl_ptr.h"

namespace sallyport::server {
namespace {

using SslCtxPtr = pki::Owned<SSL_CTX, SSL_CTX_free>;
using SslPtr = pki::Owned<SSL, SSL_free>;

constexpr int kProbeSeconds = 2;
constexpr int kConnectPollMs = 20;

enum class Answer { kServerHello, kRefused };

// A server that asks for a client certificate fails our handshake even where it speaks the version,
// so the probe looks at the messages, not at the outcome.
void Watch(int sent, int, int content_type, const void* message, size_t size, SSL*,
           void* server_hello) {
  if (sent == 0 && size > 0 && content_type == SSL3_RT_HANDSHAKE &&
      *static_cast<const uint8_t*>(message) == SSL3_MT_SERVER_HELLO)
    *static_cast<bool*>(server_hello) = true;
}

Error NoAnswer(const std::string& address) {
  return Error{Reason::kUnavailable,
               address + " does not answer in TLS: " + pki::DrainOpenSslErrors(), "tls.no-answer"};
}

Result<pki::BioPtr> Connect(const std::string& address) {
  pki::BioPtr bio(BIO_new_connect(address.c_str()));
  if (!bio || BIO_set_nbio(bio.get(), 1) != 1 ||
      BIO_do_connect_retry(bio.get(), kProbeSeconds, kConnectPollMs) != 1)
    return NoAnswer(address);
  int socket = -1;
  BIO_get_fd(bio.get(), &socket);
  const timeval limit{kProbeSeconds, 0};
  if (BIO_socket_nbio(socket, 0) != 1 ||
      ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
      ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0)
    return NoAnswer(address);
  return bio;
}

// Offer says what the server made of a ClientHello with these versions.
Result<Answer> Offer(const std::string& address, int min_version, int max_version) {
  SP_TRY(pki::BioPtr bio, Connect(address));
  const SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), min_version) != 1 ||
      SSL_CTX_set_max_proto_version(context.get(), max_version) != 1)
    return NoAnswer(address);
  bool server_hello = false;
  SSL_CTX_set_msg_callback(context.get(), Watch);
  SSL_CTX_set_msg_callback_arg(context.get(), &server_hello);
  const SslPtr ssl(SSL_new(context.get()));
  if (!ssl) return NoAnswer(address);
  SSL_set_bio(ssl.get(), bio.get(), bio.get());
  static_cast<void>(bio.release());  // the connection owns it now
  const int connected = SSL_connect(ssl.get());
  const int why = SSL_get_error(ssl.get(), connected);
  pki::DrainOpenSslErrors();
  if (server_hello) return Answer::kServerHello;
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return NoAnswer(address);
  return Answer::kRefused;
}

}  // namespace

Result<Unit> ProbeRefusesTls12(const std::string& address) {
  SP_TRY(const Answer old, Offer(address, TLS1_2_VERSION, TLS1_2_VERSION));
  if (old == Answer::kServerHello)
    return Error{Reason::kInternal, address + " accepts TLS 1.2", "tls.1-2-accepted"};
  // Refused without an alert, as gRPC does, it could be anything: only TLS 1.3 shows that it is
  // TLS.
  SP_TRY(const Answer current, Offer(address, TLS1_3_VERSION, TLS1_3_VERSION));
  if (current != Answer::kServerHello) return NoAnswer(address);
  return Unit{};
}

}  // namespace sallyport::server
