#include "attestation-server/http/content_tls.h"

#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include "pki/crypto/openssl_ptr.h"
#include "pki/x509/pem.h"

namespace sallyport::server {
namespace {

Error Bad(std::string_view rule, std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), rule};
}

void FreePeer(void*, void* peer, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<pki::VerifiedPeer*>(peer);
}

int PeerIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, FreePeer);
  return index;
}

Result<pki::EvpPkey> ReadKey(const std::string& pem) {
  const pki::BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const auto no_passphrase = [](char*, int, int, void*) { return 0; };
  pki::EvpPkey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (!key) return Bad("content.key", "private key: " + pki::DrainOpenSslErrors());
  return key;
}

Result<pki::X509Ptr> ReadCertificate(ByteView der) {
  const uint8_t* at = der.data();
  pki::X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!certificate) return Bad("content.chain", "certificate: " + pki::DrainOpenSslErrors());
  return certificate;
}

Result<Bytes> DerOf(X509* certificate) {
  uint8_t* raw = nullptr;
  const int size = i2d_X509(certificate, &raw);
  if (size <= 0) return Bad("certificate.der", "certificate cannot be encoded");
  Bytes der(raw, raw + size);
  OPENSSL_free(raw);
  return der;
}

}  // namespace

struct ContentTlsGate::Material {
  pki::EvpPkey key;
  std::vector<pki::X509Ptr> chain;
  pki::RoleAnchors anchors;
};

ContentTlsGate::ContentTlsGate(pki::TrustDomain trust_domain, const Clock& clock)
    : trust_domain_(std::move(trust_domain)), clock_(clock) {}
ContentTlsGate::~ContentTlsGate() = default;

Result<Unit> ContentTlsGate::Replace(const ContentTls& tls) {
  auto next = std::make_shared<Material>();
  SP_TRY(next->key, ReadKey(tls.private_key_pem));
  SP_TRY(const std::vector<Bytes> chain, pki::ParseCertificatePem(tls.chain_pem));
  for (const Bytes& der : chain) {
    SP_TRY(next->chain.emplace_back(), ReadCertificate(der));
  }
  if (X509_check_private_key(next->chain.front().get(), next->key.get()) != 1) {
    pki::DrainOpenSslErrors();
    return Error{Reason::kMismatch, "private key is not the leaf's", "content.key"};
  }
  next->anchors = tls.anchors;
  const std::lock_guard lock(material_mutex_);
  material_ = std::move(next);
  return Unit{};
}

std::shared_ptr<const ContentTlsGate::Material> ContentTlsGate::Current() const {
  const std::lock_guard lock(material_mutex_);
  return material_;
}

bool ContentTlsGate::Configure(SSL_CTX& context) {
  SSL_CTX_set_options(&context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(&context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_cb(&context, Present, this);
  SSL_CTX_set_cert_verify_callback(&context, Verify, this);
  return PeerIndex() >= 0 && SSL_CTX_set_num_tickets(&context, 0) == 1 &&
         SSL_CTX_set_min_proto_version(&context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(&context, TLS1_3_VERSION) == 1;
}

const pki::VerifiedPeer* ContentTlsGate::PeerOf(const SSL* connection) {
  return static_cast<const pki::VerifiedPeer*>(SSL_get_ex_data(connection, PeerIndex()));
}

int ContentTlsGate::Present(SSL* connection, void* gate) {
  const std::shared_ptr<const Material> material =
      static_cast<const ContentTlsGate*>(gate)->Current();
  if (SSL_use_certificate(connection, material->chain.front().get()) != 1) return 0;
  if (SSL_use_PrivateKey(connection, material->key.get()) != 1) return 0;
  for (size_t i = 1; i < material->chain.size(); ++i)
    if (SSL_add1_chain_cert(connection, material->chain[i].get()) != 1) return 0;
  return 1;
}

Result<pki::VerifiedPeer> ContentTlsGate::Judge(X509_STORE_CTX* presented) const {
  SP_TRY(const Bytes leaf, DerOf(X509_STORE_CTX_get0_cert(presented)));
  return pki::VerifyPeer(leaf, {}, Current()->anchors, pki::Role::kDevice, trust_domain_,
                         clock_.Wall());
}

// Replaces OpenSSL's own chain building, which knows nothing of roles. A resumed session would skip
// it, and would then have no peer: PeerOf is null and every request refused.
int ContentTlsGate::Verify(X509_STORE_CTX* presented, void* gate) {
  auto* const connection = static_cast<SSL*>(
      X509_STORE_CTX_get_ex_data(presented, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Result<pki::VerifiedPeer> peer = static_cast<const ContentTlsGate*>(gate)->Judge(presented);
  if (!peer) {
    X509_STORE_CTX_set_error(presented, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }
  auto owned = std::make_unique<pki::VerifiedPeer>(*std::move(peer));
  if (SSL_set_ex_data(connection, PeerIndex(), owned.get()) != 1) return 0;
  static_cast<void>(owned.release());  // FreePeer deletes it with the connection
  X509_STORE_CTX_set_error(presented, X509_V_OK);
  return 1;
}

}  // namespace sallyport::server
