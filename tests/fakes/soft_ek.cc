#include "tests/fakes/soft_ek.h"

#include <openssl/x509v3.h>

#include "pki/crypto/openssl_ptr.h"

namespace sallyport {

namespace {

constexpr int64_t kEndOfTime = 253402300799;  // 9999-12-31T23:59:59Z
constexpr const char* kTpmNameConfig =
    "subjectAltName=critical,dirName:tpm\n[tpm]\nm.2.23.133.2.1=id:53414C4C\nn.2.23.133.2.2="
    "FakeTPM\n"
    "v.2.23.133.2.3=id:00010002\n";  // up to the first dot: only a number of order

EVP_PKEY* Native(const pki::PublicKey& key) { return static_cast<EVP_PKEY*>(key.native()); }
EVP_PKEY* Native(const pki::PrivateKey& key) { return static_cast<EVP_PKEY*>(key.native()); }

Bytes Encode(X509* certificate) {
  unsigned char* out = nullptr;
  const int size = i2d_X509(certificate, &out);
  SP_CHECK(size > 0);
  Bytes der(out, out + size);
  OPENSSL_free(out);
  return der;
}

void AddExtension(X509* certificate, X509V3_CTX* context, const char* name,
                  const std::string& value) {
  using ExtensionPtr = pki::Owned<X509_EXTENSION, X509_EXTENSION_free>;
  const ExtensionPtr extension(X509V3_EXT_nconf(nullptr, context, name, value.c_str()));
  SP_CHECK(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

void AddTpmName(X509* certificate) {
  const pki::BioPtr bio(BIO_new_mem_buf(kTpmNameConfig, -1));
  using ConfPtr = pki::Owned<CONF, NCONF_free>;
  const ConfPtr conf(NCONF_new(nullptr));
  long line = 0;
  SP_CHECK(NCONF_load_bio(conf.get(), bio.get(), &line) == 1);
  X509V3_CTX context;
  X509V3_set_ctx(&context, nullptr, certificate, nullptr, nullptr, 0);
  X509V3_set_nconf(&context, conf.get());
  SP_CHECK(X509V3_EXT_add_nconf(conf.get(), &context, "default", certificate) == 1);
}

void SetName(X509_NAME* name, const char* common_name) {
  SP_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(common_name), -1, -1,
                                      0) == 1);
}

pki::X509Ptr Begin(const char* subject, const char* issuer, EVP_PKEY* key, int64_t not_after) {
  static int serial = 1;
  pki::X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), 1'500'000'000);
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), not_after);
  if (subject[0] != '\0') SetName(X509_get_subject_name(certificate.get()), subject);
  SetName(X509_get_issuer_name(certificate.get()), issuer);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

Bytes Finish(X509* certificate, const pki::PrivateKey& issuer_key) {
  SP_CHECK(X509_sign(certificate, Native(issuer_key), EVP_sha256()) > 0);
  return Encode(certificate);
}

Bytes CaCertificate(const char* subject, const char* issuer, const pki::PrivateKey& key,
                    const pki::PrivateKey& issuer_key) {
  const pki::X509Ptr certificate = Begin(subject, issuer, Native(key), kEndOfTime);
  X509V3_CTX context;
  X509V3_set_ctx(&context, nullptr, certificate.get(), nullptr, nullptr, 0);
  AddExtension(certificate.get(), &context, "basicConstraints", "critical,CA:TRUE");
  AddExtension(certificate.get(), &context, "keyUsage", "critical,keyCertSign,cRLSign");
  return Finish(certificate.get(), issuer_key);
}

// Ecdh returns Z.x, 32 bytes.
Bytes Ecdh(const pki::PrivateKey& key, const pki::PublicKey& peer) {
  const pki::EvpPkeyCtx context(EVP_PKEY_CTX_new(Native(key), nullptr));
  size_t size = 32;
  Bytes shared(size);
  SP_CHECK(EVP_PKEY_derive_init(context.get()) == 1 &&
           EVP_PKEY_derive_set_peer(context.get(), Native(peer)) == 1 &&
           EVP_PKEY_derive(context.get(), shared.data(), &size) == 1);
  return shared;
}

Bytes DecryptCfb(ByteView key, ByteView bytes) {
  const pki::EvpCipherCtx context(EVP_CIPHER_CTX_new());
  const Bytes iv(16);
  Bytes out(bytes.size());
  int size = 0;
  SP_CHECK(EVP_DecryptInit_ex(context.get(), EVP_aes_128_cfb128(), nullptr, key.data(),
                              iv.data()) == 1 &&
           EVP_DecryptUpdate(context.get(), out.data(), &size, bytes.data(),
                             static_cast<int>(bytes.size())) == 1);
  return out;
}

// Kdfa of one block (TPM 2.0 Part 1, 11.4.10.2).
Sha256Digest Kdfa(ByteView key, std::string_view label, ByteView context, uint32_t bits) {
  const Bytes counter = std::move(ByteWriter().BigU32(1)).Take();
  const Bytes length = std::move(ByteWriter().BigU32(bits)).Take();
  const Bytes zero(1);
  return pki::HmacSha256(key, {counter, AsBytes(label), zero, context, length});
}

}  // namespace

FakeTpmVendor::FakeTpmVendor()
    : root_key_(pki::PrivateKey::Generate(pki::KeyType::kP256).value()),
      intermediate_key_(pki::PrivateKey::Generate(pki::KeyType::kP256).value()),
      root_der_(CaCertificate("Fake TPM root", "Fake TPM root", root_key_, root_key_)),
      intermediate_der_(
          CaCertificate("Fake TPM issuer", "Fake TPM root", intermediate_key_, root_key_)) {}

Bytes FakeTpmVendor::EkCertificate(const pki::PublicKey& ek,
                                   const EkCertificateOptions& options) const {
  const int64_t not_after = options.not_after == 0 ? kEndOfTime : options.not_after;
  const pki::X509Ptr certificate = Begin("", "Fake TPM issuer", Native(ek), not_after);
  X509V3_CTX context;
  X509V3_set_ctx(&context, nullptr, certificate.get(), nullptr, nullptr, 0);
  AddExtension(certificate.get(), &context, "basicConstraints",
               options.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!options.key_usage.empty())
    AddExtension(certificate.get(), &context, "keyUsage", options.key_usage);
  if (!options.extended_key_usage.empty())
    AddExtension(certificate.get(), &context, "extendedKeyUsage", options.extended_key_usage);
  if (options.tpm_name) AddTpmName(certificate.get());
  return Finish(certificate.get(), intermediate_key_);
}

std::optional<Bytes> SoftEk::Activate(ByteView credential_blob, ByteView encrypted_secret,
                                      ByteView object_name) const {
  ByteReader point(encrypted_secret, "encrypted secret");
  const Result<ByteView> x = point.Sized16(32);
  const Result<ByteView> y = point.Sized16(32);
  if (!x.has_value() || !y.has_value()) return std::nullopt;
  const Result<pki::PublicKey> ephemeral = pki::PublicKey::FromP256Point(*x, *y);
  if (!ephemeral.has_value()) return std::nullopt;
  const ByteView own_x = ByteView(public_key().spki()).last(64).first(32);
  const Bytes shared = Ecdh(key_, *ephemeral);
  const Bytes counter = std::move(ByteWriter().BigU32(1)).Take();
  const Bytes zero(1);
  const Sha256Digest seed = pki::Sha256({counter, shared, AsBytes("IDENTITY"), zero, *x, own_x});
  ByteReader blob(credential_blob, "credential");
  const Result<ByteView> mac = blob.Sized16(32);
  if (!mac.has_value()) return std::nullopt;
  const Sha256Digest mac_key = Kdfa(seed.view(), "INTEGRITY", {}, 256);
  if (!Equal(pki::HmacSha256(mac_key.view(), {blob.rest(), object_name}).view(), *mac))
    return std::nullopt;
  const Sha256Digest key = Kdfa(seed.view(), "STORAGE", object_name, 128);
  const Bytes plain = DecryptCfb(key.view().first(16), blob.rest());
  ByteReader reader(plain, "secret");
  const Result<ByteView> secret = reader.Sized16(32);
  return secret.has_value() ? std::optional(ToBytes(*secret)) : std::nullopt;
}

}  // namespace sallyport
