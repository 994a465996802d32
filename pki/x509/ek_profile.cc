#include "pki/x509/ek_profile.h"

#include <openssl/core_names.h>
#include <openssl/err.h>

#include <array>

#include "pki/crypto/roca.h"
#include "pki/x509/x509_native.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kEkUsage = "2.23.133.8.1";
constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 4096;
constexpr uint64_t kExponentMin = 65537;
// What we judge ourselves or OpenSSL does in the chain (RFC 5280 4.2).
constexpr int kUnderstood[] = {
    NID_key_usage,        NID_ext_key_usage,        NID_basic_constraints,
    NID_subject_alt_name, NID_certificate_policies, NID_crl_distribution_points};

Result<Unit> CheckVersion(const X509* certificate) {
  if (X509_get_version(certificate) == X509_VERSION_3) return Unit{};
  return Error{Reason::kUnsupported, "not X.509 version 3", "ek.version"};
}

Result<Unit> CheckRsaKey(const EVP_PKEY* key) {
  BIGNUM* raw = nullptr;
  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &raw);
  const BignumPtr exponent(raw);
  const int bits = EVP_PKEY_get_bits(key);
  if (bits < kRsaBitsMin || bits > kRsaBitsMax)
    return Error{Reason::kUnsupported, "RSA of " + std::to_string(bits) + " bits", "ek.key"};
  if (exponent == nullptr || BN_is_odd(exponent.get()) != 1 ||
      (BN_num_bits(exponent.get()) <= 64 && BN_get_word(exponent.get()) < kExponentMin))
    return Error{Reason::kUnsupported, "RSA exponent", "ek.key"};
  return Unit{};
}

Result<Unit> CheckKey(const X509* certificate) {
  const EVP_PKEY* const key = X509_get0_pubkey(certificate);
  if (key != nullptr && EVP_PKEY_is_a(key, "RSA") == 1) return CheckRsaKey(key);
  const std::string name = KeyNameOf(certificate);
  if (name == "p-256" || name == "p-384" || name == "p-521") return Unit{};
  return Error{Reason::kUnsupported, "key of type " + name, "ek.key"};
}

EkCheck CheckRoca(const X509* certificate) {
  const EVP_PKEY* const key = X509_get0_pubkey(certificate);
  if (key == nullptr || EVP_PKEY_is_a(key, "RSA") != 1)
    return {"ek.key-roca", CheckResult::kNotRun, "not an RSA key"};
  BIGNUM* raw = nullptr;
  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &raw);
  const BignumPtr modulus(raw);
  if (modulus == nullptr) return FailedCheck("ek.key-roca", Reason::kMalformed, "no modulus");
  Bytes bytes(static_cast<size_t>(BN_num_bytes(modulus.get())));
  BN_bn2bin(modulus.get(), bytes.data());
  if (HasRocaFingerprint(bytes))
    return FailedCheck("ek.key-roca", Reason::kPolicyDenied,
                       "CVE-2017-15361: the key can be factored");
  return PassedCheck("ek.key-roca");
}

// An EK decrypts or agrees on keys; a signing certificate of the same vendor is none. The bits are
// read here: OpenSSL gives none when any extension of the certificate is invalid.
Result<Unit> CheckKeyUsage(const X509* certificate) {
  constexpr int kKeyEncipherment = 2, kKeyAgreement = 4, kKeyCertSign = 5, kCrlSign = 6;
  const EVP_PKEY* const key = X509_get0_pubkey(certificate);
  const bool rsa = key != nullptr && EVP_PKEY_is_a(key, "RSA") == 1;
  const BitStringPtr usage(static_cast<ASN1_BIT_STRING*>(
      X509_get_ext_d2i(certificate, NID_key_usage, nullptr, nullptr)));
  const auto has = [&usage](int bit) { return ASN1_BIT_STRING_get_bit(usage.get(), bit) == 1; };
  if (usage == nullptr || !has(rsa ? kKeyEncipherment : kKeyAgreement))
    return Error{Reason::kMismatch, rsa ? "no keyEncipherment" : "no keyAgreement", "ek.key-usage"};
  if (has(kKeyCertSign) || has(kCrlSign))
    return Error{Reason::kMismatch, "signs certificates or CRLs", "ek.key-usage"};
  return Unit{};
}

Result<Unit> CheckExtendedKeyUsage(const X509* certificate) {
  int critical = -1;
  const ExtendedKeyUsagePtr usage(static_cast<EXTENDED_KEY_USAGE*>(
      X509_get_ext_d2i(certificate, NID_ext_key_usage, &critical, nullptr)));
  const Error refusal{Reason::kMismatch, "not for endorsement keys", "ek.extended-key-usage"};
  if (usage == nullptr)
    return critical == -1 ? Ok() : Result<Unit>(refusal);  // absent is allowed, unreadable is not
  for (int i = 0; i < sk_ASN1_OBJECT_num(usage.get()); ++i)
    if (OidText(sk_ASN1_OBJECT_value(usage.get(), i)) == kEkUsage) return Unit{};
  return refusal;
}

Result<Unit> CheckNoCa(const X509* certificate) {
  int critical = -1;
  const BasicConstraintsPtr constraints(static_cast<BASIC_CONSTRAINTS*>(
      X509_get_ext_d2i(certificate, NID_basic_constraints, &critical, nullptr)));
  if (constraints == nullptr ? critical != -1 : constraints->ca != 0)
    return Error{Reason::kMismatch, "a CA certificate is no EK certificate", "ek.ca"};
  return Unit{};
}

// RFC 5280 4.1.2.6: who has no subject is named by a critical subjectAltName.
Result<Unit> CheckSubject(const X509* certificate) {
  if (X509_NAME_entry_count(X509_get_subject_name(certificate)) > 0) return Unit{};
  const int at = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
  if (at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate, at)) == 1) return Unit{};
  return Error{Reason::kMismatch, "empty subject without a critical subjectAltName", "ek.subject"};
}

Result<Unit> CheckNoneTwice(const X509* certificate) {
  for (int i = 0; i < X509_get_ext_count(certificate); ++i) {
    const ASN1_OBJECT* const oid = X509_EXTENSION_get_object(X509_get_ext(certificate, i));
    if (X509_get_ext_by_OBJ(certificate, oid, i) >= 0)
      return Error{Reason::kMalformed, OidText(oid), "ek.extension-twice"};
  }
  return Unit{};
}

Result<Unit> CheckCritical(const X509* certificate) {
  for (int i = 0; i < X509_get_ext_count(certificate); ++i) {
    X509_EXTENSION* const extension = X509_get_ext(certificate, i);
    const ASN1_OBJECT* const oid = X509_EXTENSION_get_object(extension);
    if (X509_EXTENSION_get_critical(extension) == 1 &&
        std::ranges::find(kUnderstood, OBJ_obj2nid(oid)) == std::end(kUnderstood))
      return Error{Reason::kUnsupported, OidText(oid), "ek.extension-critical"};
  }
  return Unit{};
}

EkCheck DerCheck(const EkCertificate& certificate) {
  if (certificate.deviation.empty()) return PassedCheck("ek.der");
  EkCheck check =
      PassedCheck("ek.der-lenient",
                  "not strict DER, judged over the bytes as received: " + certificate.deviation);
  check.warning = true;
  return check;
}

EkCheck NameCheck(const EkCertificate& certificate) {
  const bool named = !certificate.manufacturer.empty();
  return PassedCheck("ek.san", named ? "" : "does not name the TPM's manufacturer");
}

}  // namespace

std::vector<EkCheck> CheckEkProfile(const EkCertificate& certificate,
                                    std::span<const std::string> accepted_advisories) {
  const X509Ptr x509 = DecodeX509(certificate.der);
  if (x509 == nullptr) return {FailedCheck("ek.der", Reason::kMalformed, "not a certificate")};
  std::vector<EkCheck> out{DerCheck(certificate),
                           CheckOf("ek.version", CheckVersion(x509.get())),
                           CheckOf("ek.key", CheckKey(x509.get())),
                           CheckRoca(x509.get()),
                           CheckOf("ek.key-usage", CheckKeyUsage(x509.get())),
                           CheckOf("ek.extended-key-usage", CheckExtendedKeyUsage(x509.get())),
                           CheckOf("ek.ca", CheckNoCa(x509.get())),
                           CheckOf("ek.subject", CheckSubject(x509.get())),
                           NameCheck(certificate),
                           CheckOf("ek.extension-twice", CheckNoneTwice(x509.get())),
                           CheckOf("ek.extension-critical", CheckCritical(x509.get()))};
  for (EkCheck& check : CheckAdvisories(certificate, accepted_advisories))
    out.push_back(std::move(check));
  ERR_clear_error();
  return out;
}

Result<EkCertificate> ParseEkCertificate(ByteView bytes,
                                         std::span<const std::string> accepted_advisories) {
  if (bytes.size() > kEkCertificateBytesMax)
    return Error{Reason::kTooLarge, "EK certificate above 8 KiB", "ek.size"};
  SP_TRY(EkCertificate certificate, ReadEkCertificate(bytes));
  SP_TRY(RequireAll(CheckEkProfile(certificate, accepted_advisories)));
  return certificate;
}

}  // namespace sallyport::pki
