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

struct Seen {
  bool server_hello = false;
  bool alert = false;
};

// A server that asks for a client certificate fails our handshake even where it speaks TLS 1.2, so the
// probe looks at the messages, not at the outcome.
void Watch(int sent, int, int content_type, const void* message, size_t size, SSL*, void* seen_by) {
  auto* const seen = static_cast<Seen*>(seen_by);
  if (sent != 0 || size == 0) return;
  if (content_type == SSL3_RT_ALERT) seen->alert = true;
  if (content_type == SSL3_RT_HANDSHAKE && *static_cast<const uint8_t*>(message) == SSL3_MT_SERVER_HELLO)
    seen->server_hello = true;
}

Error NoAnswer(const std::string& address) {
  return Error{Reason::kUnavailable, address + " does not answer in TLS: " + pki::DrainOpenSslErrors(), "tls.no-answer"};
}

Result<pki::BioPtr> Connect(const std::string& address) {
  pki::BioPtr bio(BIO_new_connect(address.c_str()));
  if (!bio || BIO_set_nbio(bio.get(), 1) != 1 || BIO_do_connect_retry(bio.get(), kProbeSeconds, kConnectPollMs) != 1)
    return NoAnswer(address);
  int socket = -1;
  BIO_get_fd(bio.get(), &socket);
  const timeval limit{kProbeSeconds, 0};
  if (BIO_socket_nbio(socket, 0) != 1 || ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
      ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0)
    return NoAnswer(address);
  return bio;
}

}  // namespace

Result<Unit> ProbeRefusesTls12(const std::string& address) {
  SP_TRY(pki::BioPtr bio, Connect(address));
  const SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context || SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION) != 1) return NoAnswer(address);
  Seen seen;
  SSL_CTX_set_msg_callback(context.get(), Watch);
  SSL_CTX_set_msg_callback_arg(context.get(), &seen);
  const SslPtr ssl(SSL_new(context.get()));
  if (!ssl) return NoAnswer(address);
  SSL_set_bio(ssl.get(), bio.get(), bio.get());
  static_cast<void>(bio.release());  // the connection owns it now
  SSL_connect(ssl.get());
  const std::string why = pki::DrainOpenSslErrors();
  if (seen.server_hello)
    return Error{Reason::kInternal, address + " accepts TLS 1.2", "tls.1-2-accepted"};
  if (!seen.alert) return Error{Reason::kUnavailable, address + " does not answer in TLS: " + why, "tls.no-answer"};
  return Unit{};
}

}  // namespace sallyport::server
