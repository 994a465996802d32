#include "device-client/tpm/tls_key_provider.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>

#include "device-client/tpm/provider_dispatch.h"
#include "device-client/tpm/provider_key.h"
#include "pki/crypto/openssl_ptr.h"

namespace sallyport::device {
namespace {

constexpr size_t kP256PointBytes = 64;  // the last of a P-256 SubjectPublicKeyInfo

Error ProviderFailed(std::string_view step) {
  return {Reason::kInternal, std::string(step) + ": " + pki::DrainOpenSslErrors(),
          "tls-key.provider"};
}

Result<Unit> AddProvider() {
  ERR_clear_error();
  if (OSSL_PROVIDER_load(nullptr, "default") == nullptr) return ProviderFailed("default provider");
  if (OSSL_PROVIDER_add_builtin(nullptr, kTlsKeyProviderName, TlsKeyProviderInit) != 1)
    return ProviderFailed("add");
  // Held for the life of the process: OpenSSL forgets a built-in provider at exit without freeing
  // it.
  static const OSSL_PROVIDER* const own = OSSL_PROVIDER_load(nullptr, kTlsKeyProviderName);
  if (own == nullptr) return ProviderFailed("load");
  // Ours offers EC and ECDSA too: without a preference, software keys might be given to it.
  if (EVP_set_default_properties(nullptr, "?provider=default") != 1)
    return ProviderFailed("properties");
  return Ok();
}

std::string ReferencePem(uint64_t id) {
  ByteWriter writer;
  writer.BigU64(id);
  return std::string(kTlsKeyPemBegin) + "\n" + Base64Encode(writer.bytes()) + "\n" +
         std::string(kTlsKeyPemEnd) + "\n";
}

}  // namespace

void JudgeCertificatesAt(void* ssl_ctx, UnixTime now) {
  X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(static_cast<SSL_CTX*>(ssl_ctx)), now.seconds());
}

Result<Unit> InstallTlsKeyProvider() {
  static const Result<Unit> installed = AddProvider();
  return installed;
}

Result<std::shared_ptr<const TlsKeyReference>> TlsKeyReference::Register(const pki::PublicKey& key,
                                                                         DigestSigner sign) {
  if (key.type() != pki::KeyType::kP256)
    return Error{Reason::kUnsupported, "not a P-256 key", "tls-key.type"};
  SP_TRY(InstallTlsKeyProvider());
  auto entry = std::make_shared<ProviderKey>();
  entry->point = ToBytes(ByteView(key.spki()).last(kP256PointBytes + 1));
  entry->sign = std::move(sign);
  const uint64_t id = AddProviderKey(std::move(entry));
  return std::shared_ptr<const TlsKeyReference>(new TlsKeyReference(id, ReferencePem(id)));
}

TlsKeyReference::~TlsKeyReference() { RemoveProviderKey(id_); }

Result<void*> TlsKeyReference::NewNativeKey() const {
  ERR_clear_error();
  const pki::BioPtr bio{BIO_new_mem_buf(pem_.data(), static_cast<int>(pem_.size()))};
  EVP_PKEY* const key =
      bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr) : nullptr;
  if (key == nullptr) return Error{Reason::kInternal, pki::DrainOpenSslErrors(), "tls-key.load"};
  return static_cast<void*>(key);
}

}  // namespace sallyport::device
