#include "pki/x509/ek_profile.h"

#include <openssl/core_names.h>
#include <openssl/err.h>

#include "pki/x509/tpm_certificate_rules.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kEkUsage = "2.23.133.8.1";
constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 4096;
constexpr uint64_t kExponentMin = 65537;

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
  if (IsRsa(certificate)) return CheckRsaKey(KeyOf(certificate).get());
  const std::string name = KeyNameOf(certificate);
  if (name == "p-256" || name == "p-384" || name == "p-521") return Unit{};
  return Error{Reason::kUnsupported, "key of type " + name, "ek.key"};
}

// RFC 5280 4.1.2.6: who has no subject is named by a critical subjectAltName.
Result<Unit> CheckSubject(const X509* certificate) {
  if (X509_NAME_entry_count(X509_get_subject_name(certificate)) > 0) return Unit{};
  const int at = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
  if (at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate, at)) == 1) return Unit{};
  return Error{Reason::kMismatch, "empty subject without a critical subjectAltName", "ek.subject"};
}

EkCheck DerCheck(const EkCertificate& certificate) {
  if (certificate.deviation.empty()) return PassedCheck("ek.der");
  return WarnedCheck("ek.der-lenient",
                     "not strict DER, judged over the bytes as received: " + certificate.deviation);
}

EkCheck NameCheck(const EkCertificate& certificate) {
  const bool named = !certificate.manufacturer.empty();
  return PassedCheck("ek.san", named ? "" : "does not name the TPM's manufacturer");
}

}  // namespace

std::vector<EkCheck> CheckEkProfile(const EkCertificate& certificate,
                                    std::span<const std::string> accepted_advisories) {
  X509* const x509 = certificate.decoded.get();
  const int usage = IsRsa(x509) ? kKeyEnciphermentBit : kKeyAgreementBit;
  std::vector<EkCheck> out{
      DerCheck(certificate), CheckOf("ek.version", RequireVersion3(x509, "ek.version")),
      CheckOf("ek.key", CheckKey(x509)), CheckRoca(x509, "ek.key-roca"),
      // An EK decrypts or agrees on keys; a signing certificate of the same vendor is none.
      CheckOf("ek.key-usage", RequireKeyUsage(x509, usage, "ek.key-usage")),
      CheckOf("ek.extended-key-usage",
              RequireExtendedKeyUsage(x509, kEkUsage, true, "ek.extended-key-usage")),
      CheckOf("ek.ca", RequireNoCa(x509, "ek.ca")), CheckOf("ek.subject", CheckSubject(x509)),
      NameCheck(certificate),
      CheckOf("ek.extension-twice", RequireNoneTwice(x509, "ek.extension-twice")),
      CheckOf("ek.extension-critical", RequireCriticalKnown(x509, "ek.extension-critical"))};
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
