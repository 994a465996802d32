// The TLS key for OpenSSL's users (gRPC, libcurl, libssl): a built-in provider that signs by asking
// the TPM. gRPC takes keys as PEM text only, so a key is named by a small PEM block that the
// provider's decoder understands.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "pki/base/time.h"
#include "pki/crypto/signature.h"

namespace sallyport::device {

// DigestSigner returns the DER ECDSA signature of a SHA-256 digest. Called from any thread.
using DigestSigner = std::function<Result<Bytes>(const Sha256Digest&)>;

// InstallTlsKeyProvider adds the provider to the process; call it before the first use of TLS, any
// number of times. Everything else stays with OpenSSL's default provider. kInternal (rule
// tls-key.provider).
Result<Unit> InstallTlsKeyProvider();

// TlsKeyReference is a key known to the provider. While it lives, its PEM text can be loaded; what
// has been loaded keeps `sign` alive and works on. Immutable; thread-safe.
class TlsKeyReference {
 public:
  // Register takes the P-256 key that `sign` signs with. kUnsupported (rule tls-key.type) for other
  // keys; errors of InstallTlsKeyProvider, which it calls.
  static Result<std::shared_ptr<const TlsKeyReference>> Register(const pki::PublicKey& key,
                                                                 DigestSigner sign);
  ~TlsKeyReference();
  TlsKeyReference(const TlsKeyReference&) = delete;
  TlsKeyReference& operator=(const TlsKeyReference&) = delete;

  // pem is what to give to gRPC as the private key. It is a name, not a secret.
  const std::string& pem() const { return pem_; }
  // NewNativeKey returns an EVP_PKEY* with one reference, the caller's. kInternal (rule
  // tls-key.load).
  Result<void*> NewNativeKey() const;

 private:
  TlsKeyReference(uint64_t id, std::string pem) : id_(id), pem_(std::move(pem)) {}
  uint64_t id_;
  std::string pem_;
};

// JudgeCertificatesAt makes the SSL_CTX `ssl_ctx` of another library judge validity at `now`
// instead of by the wall clock.
void JudgeCertificatesAt(void* ssl_ctx, UnixTime now);

}  // namespace sallyport::device
