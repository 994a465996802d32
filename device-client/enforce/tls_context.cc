#include "device-client/enforce/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "pki/crypto/openssl_ptr.h"
#include "pki/x509/pem.h"

namespace sallyport::device {
namespace {

constexpr std::string_view kAlpnWire = "\x0bsallyport/1";
// Four records at once, in both directions: fewer system calls in bulk (measured: they dominate).
constexpr size_t kReadAheadSize = 64 << 10;
constexpr long kWriteBehindSize = 66 << 10;

SSL* Native(void* ssl) { return static_cast<SSL*>(ssl); }
SSL_CTX* NativeContext(void* ctx) { return static_cast<SSL_CTX*>(ctx); }

Bytes DerOf(const X509* certificate) {
  Bytes der;
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return der;
  der.resize(static_cast<size_t>(size));
  uint8_t* out = der.data();
  if (i2d_X509(certificate, &out) != size) der.clear();
  return der;
}

int StreamIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

Error TlsError(const std::string& what) {
  return Error{Reason::kInternal, what + ": " + pki::DrainOpenSslErrors(), "tls.setup"};
}

pki::X509Ptr Decode(ByteView der) {
  const uint8_t* in = der.data();
  return pki::X509Ptr(d2i_X509(nullptr, &in, static_cast<long>(der.size())));
}

}  // namespace

struct TlsCallbacks {
  static int VerifyChain(X509_STORE_CTX* store, void*) {
    auto* ssl =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto* stream = static_cast<TlsStream*>(SSL_get_ex_data(ssl, StreamIndex()));
    stream->Verify(store);
    X509_STORE_CTX_set_error(store,
                             stream->peer_ ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
    return stream->peer_ ? 1 : 0;
  }

  static int SelectAlpn(SSL*, const unsigned char** out, unsigned char* out_size,
                        const unsigned char* in, unsigned int in_size, void*) {
    const std::string_view offered(reinterpret_cast<const char*>(in), in_size);
    if (offered != kAlpnWire) return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = in + 1;
    *out_size = in[0];
    return SSL_TLSEXT_ERR_OK;
  }
};

std::shared_ptr<void> ShareKey(void* evp_pkey) {
  return {evp_pkey, [](void* key) { EVP_PKEY_free(static_cast<EVP_PKEY*>(key)); }};
}

Result<std::shared_ptr<const TlsContext>> TlsContext::Make(const ProxyIdentity& identity,
                                                           ProxyTrust trust, ProxyClock clock) {
  SP_TRY(const std::vector<Bytes> chain, pki::ParseCertificatePem(identity.chain_pem));
  std::shared_ptr<TlsContext> context(new TlsContext(std::move(trust), std::move(clock)));
  SP_TRY(context->self_,
         pki::VerifyPeer(chain.front(), {}, context->trust_.anchors, pki::Role::kDevice,
                         context->trust_.trust_domain, context->clock_().now));
  SP_TRY(context->Load(identity, chain.front()));
  return std::shared_ptr<const TlsContext>(std::move(context));
}

TlsContext::~TlsContext() { SSL_CTX_free(NativeContext(ctx_)); }

Result<Unit> TlsContext::Load(const ProxyIdentity& identity, ByteView leaf) {
  SSL_CTX* ctx = SSL_CTX_new(TLS_method());
  ctx_ = ctx;
  if (!ctx) return TlsError("context");
  SSL_CTX_set_options(ctx,
                      SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_default_read_buffer_len(ctx, kReadAheadSize);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(ctx, TlsCallbacks::VerifyChain, nullptr);
  SSL_CTX_set_alpn_select_cb(ctx, TlsCallbacks::SelectAlpn, nullptr);
  const bool configured =
      SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
      SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
      SSL_CTX_set_ciphersuites(
          ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") == 1 &&
      SSL_CTX_set1_groups_list(ctx, "X25519:P-256") == 1 &&
      SSL_CTX_set1_sigalgs_list(ctx, "ECDSA+SHA256") == 1 &&
      SSL_CTX_set_alpn_protos(ctx, AsBytes(kAlpnWire).data(), kAlpnWire.size()) == 0;
  if (!configured) return TlsError("settings");
  // The leaf alone: a peer's anchors are the issuers themselves, and decoding one more certificate
  // costs it a tenth of the handshake.
  SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
  const pki::X509Ptr certificate = Decode(leaf);
  if (!certificate || SSL_CTX_use_certificate(ctx, certificate.get()) != 1) return TlsError("leaf");
  auto* key = static_cast<EVP_PKEY*>(identity.key.get());
  if (!key || SSL_CTX_use_PrivateKey(ctx, key) != 1)
    return Error{Reason::kMismatch, "the key is not the leaf's: " + pki::DrainOpenSslErrors(),
                 "tls.key"};
  return Ok();
}

Result<std::unique_ptr<TlsStream>> TlsContext::NewStream(int fd, bool server) const {
  std::unique_ptr<TlsStream> stream(new TlsStream(shared_from_this()));
  SSL* ssl = SSL_new(NativeContext(ctx_));
  stream->ssl_ = ssl;
  BIO* socket = BIO_new_socket(fd, BIO_NOCLOSE);
  BIO* buffer = BIO_new(BIO_f_buffer());
  const bool made = ssl && socket && buffer &&
                    BIO_set_write_buffer_size(buffer, kWriteBehindSize) == 1 &&
                    SSL_set_ex_data(ssl, StreamIndex(), stream.get()) == 1;
  if (!made) {
    BIO_free(socket);
    BIO_free(buffer);
    return TlsError("stream");
  }
  BIO_up_ref(socket);  // one for reading, one below the buffer
  SSL_set_bio(ssl, socket, BIO_push(buffer, socket));
  server ? SSL_set_accept_state(ssl) : SSL_set_connect_state(ssl);
  return stream;
}

TlsStream::~TlsStream() { SSL_free(Native(ssl_)); }

void TlsStream::Verify(void* store_context) {
  auto* store = static_cast<X509_STORE_CTX*>(store_context);
  const Bytes leaf = DerOf(X509_STORE_CTX_get0_cert(store));
  std::vector<Bytes> intermediates;
  const STACK_OF(X509)* sent = X509_STORE_CTX_get0_untrusted(store);
  for (int i = 0; i < sk_X509_num(sent); ++i) {
    Bytes der = DerOf(sk_X509_value(sent, i));
    if (der != leaf) intermediates.push_back(std::move(der));
  }
  auto peer = pki::VerifyPeer(leaf, intermediates, context_->trust_.anchors, pki::Role::kDevice,
                              context_->trust_.trust_domain, context_->clock_().now);
  if (peer) {
    peer_ = *std::move(peer);
  } else {
    failure_ = peer.error().name();
  }
}

TlsResult TlsStream::CheckProtocol() {
  const unsigned char* alpn = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(Native(ssl_), &alpn, &size);
  const std::string_view chosen(reinterpret_cast<const char*>(alpn), size);
  if (chosen != kProxyAlpn) failure_ = "tls.alpn";
  if (SSL_session_reused(Native(ssl_)) != 0) failure_ = "tls.resumed";
  if (SSL_version(Native(ssl_)) != TLS1_3_VERSION) failure_ = "tls.version";
  if (!peer_ && failure_.empty()) failure_ = "tls.no-peer";
  if (failure_.empty()) return TlsResult::kDone;
  peer_.reset();
  return TlsResult::kFailed;
}

TlsResult TlsStream::ResultOf(int code) {
  switch (SSL_get_error(Native(ssl_), code)) {
    case SSL_ERROR_NONE: return TlsResult::kDone;
    case SSL_ERROR_WANT_READ: return TlsResult::kWantRead;
    case SSL_ERROR_WANT_WRITE: return TlsResult::kWantWrite;
    case SSL_ERROR_ZERO_RETURN: return TlsResult::kEnd;
    default: break;
  }
  const std::string words = pki::DrainOpenSslErrors();
  if (failure_.empty()) failure_ = words.empty() ? "tls.cut" : "tls: " + words;
  return TlsResult::kFailed;
}

TlsResult TlsStream::Handshake() {
  ERR_clear_error();
  const TlsResult result = ResultOf(SSL_do_handshake(Native(ssl_)));
  return result == TlsResult::kDone ? CheckProtocol() : result;
}

TlsResult TlsStream::Read(std::span<uint8_t> out, size_t& size) {
  ERR_clear_error();
  return ResultOf(SSL_read_ex(Native(ssl_), out.data(), out.size(), &size));
}

TlsResult TlsStream::Write(ByteView bytes, size_t& size) {
  ERR_clear_error();
  return ResultOf(SSL_write_ex(Native(ssl_), bytes.data(), bytes.size(), &size));
}

TlsResult TlsStream::Flush() {
  BIO* const out = SSL_get_wbio(Native(ssl_));
  if (BIO_wpending(out) == 0 || BIO_flush(out) == 1) return TlsResult::kDone;
  if (BIO_should_retry(out)) return TlsResult::kWantWrite;
  if (failure_.empty()) failure_ = "tls.cut";
  return TlsResult::kFailed;
}

TlsResult TlsStream::Shutdown() {
  ERR_clear_error();
  // A second SSL_shutdown would read, and throw away, what the peer still sends.
  if ((SSL_get_shutdown(Native(ssl_)) & SSL_SENT_SHUTDOWN) == 0) {
    const int code = SSL_shutdown(Native(ssl_));
    if (code < 0) return ResultOf(code);
  }
  return Flush();
}

const std::string& TlsStream::self_id() const { return context_->self().name(); }

}  // namespace sallyport::device
