#include "pki/x509/tpm_certificate_rules.h"

#include <openssl/core_names.h>

#include "pki/crypto/roca.h"

namespace sallyport::pki {
namespace {

constexpr int kKeyCertSignBit = 5;
constexpr int kCrlSignBit = 6;
constexpr int kUnderstood[] = {
    NID_key_usage,        NID_ext_key_usage,        NID_basic_constraints,
    NID_subject_alt_name, NID_certificate_policies, NID_crl_distribution_points};

}  // namespace

bool IsRsa(const X509* certificate) {
  const EvpPkey key = KeyOf(certificate);
  return key != nullptr && EVP_PKEY_is_a(key.get(), "RSA") == 1;
}

Result<Unit> RequireVersion3(const X509* certificate, std::string_view rule) {
  if (X509_get_version(certificate) == X509_VERSION_3) return Unit{};
  return Error{Reason::kUnsupported, "not X.509 version 3", rule};
}

// The bits are read here: OpenSSL gives none when any extension of the certificate is invalid.
Result<Unit> RequireKeyUsage(const X509* certificate, int bit, std::string_view rule) {
  const BitStringPtr usage(static_cast<ASN1_BIT_STRING*>(
      X509_get_ext_d2i(certificate, NID_key_usage, nullptr, nullptr)));
  const auto has = [&usage](int one) { return ASN1_BIT_STRING_get_bit(usage.get(), one) == 1; };
  if (usage == nullptr || !has(bit))
    return Error{Reason::kMismatch,
                 bit == kDigitalSignatureBit  ? "no digitalSignature"
                 : bit == kKeyEnciphermentBit ? "no keyEncipherment"
                                              : "no keyAgreement",
                 rule};
  if (has(kKeyCertSignBit) || has(kCrlSignBit))
    return Error{Reason::kMismatch, "signs certificates or CRLs", rule};
  return Unit{};
}

Result<Unit> RequireExtendedKeyUsage(const X509* certificate, std::string_view oid,
                                     bool absent_allowed, std::string_view rule) {
  int critical = -1;
  const ExtendedKeyUsagePtr usage(static_cast<EXTENDED_KEY_USAGE*>(
      X509_get_ext_d2i(certificate, NID_ext_key_usage, &critical, nullptr)));
  const Error refusal{Reason::kMismatch, "not for keys of this kind", rule};
  if (usage == nullptr)  // unreadable is not absent
    return critical == -1 && absent_allowed ? Ok() : Result<Unit>(refusal);
  for (int i = 0; i < sk_ASN1_OBJECT_num(usage.get()); ++i)
    if (OidText(sk_ASN1_OBJECT_value(usage.get(), i)) == oid) return Unit{};
  return refusal;
}

Result<Unit> RequireNoCa(const X509* certificate, std::string_view rule) {
  int critical = -1;
  const BasicConstraintsPtr constraints(static_cast<BASIC_CONSTRAINTS*>(
      X509_get_ext_d2i(certificate, NID_basic_constraints, &critical, nullptr)));
  if (constraints == nullptr ? critical != -1 : constraints->ca != 0)
    return Error{Reason::kMismatch, "a CA certificate is none of a TPM's key", rule};
  return Unit{};
}

Result<Unit> RequireNoneTwice(const X509* certificate, std::string_view rule) {
  for (int i = 0; i < X509_get_ext_count(certificate); ++i) {
    const ASN1_OBJECT* const oid = X509_EXTENSION_get_object(X509_get_ext(certificate, i));
    if (X509_get_ext_by_OBJ(certificate, oid, i) >= 0)
      return Error{Reason::kMalformed, OidText(oid), rule};
  }
  return Unit{};
}

Result<Unit> RequireCriticalKnown(const X509* certificate, std::string_view rule) {
  for (int i = 0; i < X509_get_ext_count(certificate); ++i) {
    X509_EXTENSION* const extension = X509_get_ext(certificate, i);
    const ASN1_OBJECT* const oid = X509_EXTENSION_get_object(extension);
    if (X509_EXTENSION_get_critical(extension) == 1 &&
        std::ranges::find(kUnderstood, OBJ_obj2nid(oid)) == std::end(kUnderstood))
      return Error{Reason::kUnsupported, OidText(oid), rule};
  }
  return Unit{};
}

EkCheck CheckRoca(const X509* certificate, std::string_view rule) {
  if (!IsRsa(certificate)) return {rule, CheckResult::kNotRun, "not an RSA key"};
  BIGNUM* raw = nullptr;
  EVP_PKEY_get_bn_param(KeyOf(certificate).get(), OSSL_PKEY_PARAM_RSA_N, &raw);
  const BignumPtr modulus(raw);
  if (modulus == nullptr) return FailedCheck(rule, Reason::kMalformed, "no modulus");
  Bytes bytes(static_cast<size_t>(BN_num_bytes(modulus.get())));
  BN_bn2bin(modulus.get(), bytes.data());
  if (HasRocaFingerprint(bytes))
    return FailedCheck(rule, Reason::kPolicyDenied, "CVE-2017-15361: the key can be factored");
  return PassedCheck(rule);
}

}  // namespace sallyport::pki
