// The TLS side of the content server: TLS 1.3 only, no resumption, and devices alone as clients,
// judged by pki::VerifyPeer during the handshake.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <mutex>

#include "attestation-server/http/content_server.h"

namespace sallyport::server {

// ContentTlsGate holds what new connections are shown and judged by. Thread-safe; outlives its
// SSL_CTX.
class ContentTlsGate {
 public:
  ContentTlsGate(pki::TrustDomain trust_domain, const Clock& clock);
  ~ContentTlsGate();

  // Replace: see ContentServer::Replace.
  Result<Unit> Replace(const ContentTls& tls);
  // Configure makes `context` ask this gate. False when OpenSSL refuses.
  [[nodiscard]] bool Configure(SSL_CTX& context);
  // PeerOf returns who was verified in the handshake of `connection`; null unless someone was.
  // Borrowed from it.
  static const pki::VerifiedPeer* PeerOf(const SSL* connection);

 private:
  struct Material;
  std::shared_ptr<const Material> Current() const;
  Result<pki::VerifiedPeer> Judge(X509_STORE_CTX* presented) const;
  static int Present(SSL* connection, void* gate);
  static int Verify(X509_STORE_CTX* presented, void* gate);

  const pki::TrustDomain trust_domain_;
  const Clock& clock_;
  mutable std::mutex material_mutex_;  // guards material_
  std::shared_ptr<const Material> material_;
};

}  // namespace sallyport::server
