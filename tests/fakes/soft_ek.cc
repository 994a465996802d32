#include "tests/fakes/soft_ek.h"

#include <openssl/x509v3.h>

#include "pki/crypto/openssl_ptr.h"

namespace sallyport {

namespace {

constexpr int64_t kEndOfTime = 253402300799;  // 9999-12-31T23:59:59Z

// Up to the first dot, a name is only a number of order.
std::string TpmNameConfig(const EkCertificateOptions& options) {
  std::string out = "subjectAltName=";
  if (options.critical_san) out += "critical,";
  out += "dirName:tpm";
  if (!options.second_manufacturer.empty()) out += ",dirName:other";
  if (!options.hardware_serial.empty()) out += ",otherName:1.3.6.1.5.5.7.8.4;SEQUENCE:module";
  out += "\n[module]\ntype=OID:1.2.3.4\nserial=FORMAT:ASCII,OCTETSTRING:" + options.hardware_serial;
  out += "\n[tpm]\nm.2.23.133.2.1=" + options.manufacturer + "\nn.2.23.133.2.2=" + options.model +
         "\nv.2.23.133.2.3=" + options.version + "\n";
  return out + "[other]\nm.2.23.133.2.1=" + options.second_manufacturer + "\n";
}

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
  using ConfPtr = pki::Owned<CONF, NCONF_free>;
  const ConfPtr none(NCONF_new(nullptr));  // policies ask for one
  X509V3_set_nconf(context, none.get());
  using ExtensionPtr = pki::Owned<X509_EXTENSION, X509_EXTENSION_free>;
  const ExtensionPtr extension(X509V3_EXT_nconf(nullptr, context, name, value.c_str()));
  SP_CHECK(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

void AddTpmName(X509* certificate, const EkCertificateOptions& options) {
  const std::string config = TpmNameConfig(options);
  const pki::BioPtr bio(BIO_new_mem_buf(config.data(), static_cast<int>(config.size())));
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

// AddCritical adds an extension that holds an ASN.1 NULL.
template <auto AddTo, typename T>
void AddCritical(T* object, const std::string& oid) {
  using ObjectPtr = pki::Owned<ASN1_OBJECT, ASN1_OBJECT_free>;
  using ValuePtr = pki::Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;
  using ExtensionPtr = pki::Owned<X509_EXTENSION, X509_EXTENSION_free>;
  constexpr unsigned char kNull[] = {0x05, 0x00};
  const ObjectPtr type(OBJ_txt2obj(oid.c_str(), 1));
  const ValuePtr value(ASN1_OCTET_STRING_new());
  SP_CHECK(ASN1_OCTET_STRING_set(value.get(), kNull, sizeof kNull) == 1);
  const ExtensionPtr extension(X509_EXTENSION_create_by_OBJ(nullptr, type.get(), 1, value.get()));
  SP_CHECK(AddTo(object, extension.get(), -1) == 1);
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

Bytes Finish(X509* certificate, const pki::PrivateKey& issuer_key, bool sha1 = false) {
  SP_CHECK(X509_sign(certificate, Native(issuer_key), sha1 ? EVP_sha1() : EVP_sha256()) > 0);
  return Encode(certificate);
}

int64_t EndOf(int64_t not_after) { return not_after == 0 ? kEndOfTime : not_after; }

Bytes CaCertificate(const char* subject, const char* issuer, EVP_PKEY* key, EVP_PKEY* issuer_key,
                    const FakeCaOptions& options = {}) {
  const pki::X509Ptr certificate = Begin(subject, issuer, key, EndOf(options.not_after));
  X509V3_CTX context;
  X509V3_set_ctx(&context, nullptr, certificate.get(), nullptr, nullptr, 0);
  AddExtension(certificate.get(), &context, "basicConstraints", options.constraints);
  AddExtension(certificate.get(), &context, "keyUsage", options.key_usage);
  SP_CHECK(X509_sign(certificate.get(), issuer_key, EVP_sha256()) > 0);
  return Encode(certificate.get());
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

Bytes FakeCaCertificate(const std::string& name, const FakeCaOptions& options) {
  const pki::EvpPkey key(
      options.rsa_bits == 0
          ? EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")
          : EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<size_t>(options.rsa_bits)));
  return CaCertificate(name.c_str(), name.c_str(), key.get(), key.get(), options);
}

FakeTpmVendor::FakeTpmVendor(const FakeCaOptions& issuer)
    : root_key_(pki::PrivateKey::Generate(pki::KeyType::kP256).value()),
      intermediate_key_(pki::PrivateKey::Generate(pki::KeyType::kP256).value()),
      root_der_(
          CaCertificate("Fake TPM root", "Fake TPM root", Native(root_key_), Native(root_key_))),
      intermediate_der_(CaCertificate("Fake TPM issuer", "Fake TPM root", Native(intermediate_key_),
                                      Native(root_key_), issuer)) {}

Bytes FakeTpmVendor::EkCertificate(const pki::PublicKey& ek,
                                   const EkCertificateOptions& options) const {
  const pki::X509Ptr certificate =
      Begin(options.subject.c_str(), "Fake TPM issuer", Native(ek), EndOf(options.not_after));
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), options.not_before);
  if (!options.subject_serial.empty())
    SP_CHECK(X509_NAME_add_entry_by_NID(
                 X509_get_subject_name(certificate.get()), NID_serialNumber, MBSTRING_UTF8,
                 reinterpret_cast<const unsigned char*>(options.subject_serial.data()),
                 static_cast<int>(options.subject_serial.size()), -1, 0) == 1);
  if (options.serial != 0)
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), options.serial);
  if (options.version_1) {
    X509_set_version(certificate.get(), X509_VERSION_1);
    return Finish(certificate.get(), intermediate_key_);
  }
  X509V3_CTX context;
  X509V3_set_ctx(&context, nullptr, certificate.get(), nullptr, nullptr, 0);
  AddExtension(certificate.get(), &context, "basicConstraints",
               options.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!options.key_usage.empty())
    AddExtension(certificate.get(), &context, "keyUsage", options.key_usage);
  for (int i = 0; i < (options.usage_twice ? 2 : 1) && !options.extended_key_usage.empty(); ++i)
    AddExtension(certificate.get(), &context, "extendedKeyUsage", options.extended_key_usage);
  if (!options.policies.empty())
    AddExtension(certificate.get(), &context, "certificatePolicies", options.policies);
  if (!options.crl_point.empty())
    AddExtension(certificate.get(), &context, "crlDistributionPoints", "URI:" + options.crl_point);
  if (!options.critical_extension.empty())
    AddCritical<X509_add_ext>(certificate.get(), options.critical_extension);
  if (options.tpm_name) AddTpmName(certificate.get(), options);
  return Finish(certificate.get(), intermediate_key_, options.sha1);
}

namespace {

void Revoke(X509_CRL* crl, long serial, const CrlOptions& options) {
  using RevokedPtr = pki::Owned<X509_REVOKED, X509_REVOKED_free>;
  using IntegerPtr = pki::Owned<ASN1_INTEGER, ASN1_INTEGER_free>;
  using TimePtr = pki::Owned<ASN1_TIME, ASN1_STRING_free>;
  RevokedPtr entry(X509_REVOKED_new());
  const IntegerPtr number(ASN1_INTEGER_new());
  const TimePtr when(ASN1_TIME_set(nullptr, options.this_update));
  ASN1_INTEGER_set(number.get(), serial);
  X509_REVOKED_set_serialNumber(entry.get(), number.get());
  X509_REVOKED_set_revocationDate(entry.get(), when.get());
  if (!options.entry_extension.empty())
    AddCritical<X509_REVOKED_add_ext>(entry.get(), options.entry_extension);
  SP_CHECK(X509_CRL_add0_revoked(crl, entry.release()) == 1);
}

void AddCrlExtension(X509_CRL* crl, const char* name, const std::string& value) {
  using ExtensionPtr = pki::Owned<X509_EXTENSION, X509_EXTENSION_free>;
  X509V3_CTX context;
  X509V3_set_ctx(&context, nullptr, nullptr, nullptr, crl, 0);
  const ExtensionPtr extension(X509V3_EXT_nconf(nullptr, &context, name, value.c_str()));
  SP_CHECK(extension != nullptr && X509_CRL_add_ext(crl, extension.get(), -1) == 1);
}

}  // namespace

Bytes FakeTpmVendor::Crl(const CrlOptions& options) const {
  using TimePtr = pki::Owned<ASN1_TIME, ASN1_STRING_free>;
  const pki::X509CrlPtr crl(X509_CRL_new());
  X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2);
  using NamePtr = pki::Owned<X509_NAME, X509_NAME_free>;
  const NamePtr issuer(X509_NAME_new());
  SetName(issuer.get(), options.by_root ? "Fake TPM root" : "Fake TPM issuer");
  X509_CRL_set_issuer_name(crl.get(), issuer.get());
  X509_CRL_set1_lastUpdate(crl.get(), TimePtr(ASN1_TIME_set(nullptr, options.this_update)).get());
  if (options.next_update != 0)
    X509_CRL_set1_nextUpdate(crl.get(), TimePtr(ASN1_TIME_set(nullptr, options.next_update)).get());
  for (const long serial : options.revoked) Revoke(crl.get(), serial, options);
  if (!options.critical_extension.empty())
    AddCritical<X509_CRL_add_ext>(crl.get(), options.critical_extension);
  if (!options.point.empty()) AddCrlExtension(crl.get(), "issuingDistributionPoint", options.point);
  if (options.delta) {
    using IntegerPtr = pki::Owned<ASN1_INTEGER, ASN1_INTEGER_free>;
    const IntegerPtr base(ASN1_INTEGER_new());
    ASN1_INTEGER_set(base.get(), 1);
    SP_CHECK(X509_CRL_add1_ext_i2d(crl.get(), NID_delta_crl, base.get(), 1, 0) == 1);
  }
  X509_CRL_sort(crl.get());
  const pki::PrivateKey& key =
      options.by_root || options.by_other_key ? root_key_ : intermediate_key_;
  SP_CHECK(X509_CRL_sign(crl.get(), Native(key), options.sha1 ? EVP_sha1() : EVP_sha256()) > 0);
  unsigned char* out = nullptr;
  const int size = i2d_X509_CRL(crl.get(), &out);
  SP_CHECK(size > 0);
  Bytes der(out, out + size);
  OPENSSL_free(out);
  return der;
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
