#include "pki/x509/ek_certificate.h"

#include <openssl/err.h>

#include <algorithm>
#include <charconv>

#include "pki/x509/der_deviation.h"
#include "pki/x509/profile.h"
#include "pki/x509/x509_native.h"

namespace sallyport::pki {
namespace {

// TCG EK Credential Profile 2.6, 3.1.2.
constexpr std::string_view kManufacturer = "2.23.133.2.1";
constexpr std::string_view kModel = "2.23.133.2.2";
constexpr std::string_view kVersion = "2.23.133.2.3";
constexpr size_t kTpmTextMax = 64;  // ub-tpmModel and its like are shorter

Error BadSan(std::string detail) { return {Reason::kMalformed, std::move(detail), "ek.san"}; }

// HexId reads "id:" and `digits` hexadecimal digits.
std::optional<uint32_t> HexId(std::string_view text, size_t digits) {
  if (text.size() != 3 + digits || !text.starts_with("id:")) return std::nullopt;
  uint32_t value = 0;
  const auto [stop, error] = std::from_chars(text.data() + 3, text.data() + text.size(), value, 16);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string* FieldOf(std::string_view oid, EkCertificate& out) {
  if (oid == kManufacturer) return &out.manufacturer;
  if (oid == kModel) return &out.model;
  if (oid == kVersion) return &out.version;
  return nullptr;
}

Result<Unit> ReadTpmName(const X509_NAME* name, EkCertificate& out) {
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    const X509_NAME_ENTRY* const entry = X509_NAME_get_entry(name, i);
    std::string* const field = FieldOf(OidText(X509_NAME_ENTRY_get_object(entry)), out);
    if (field == nullptr) continue;
    if (!field->empty()) return BadSan("the TPM is named twice");
    *field = AsnText(X509_NAME_ENTRY_get_data(entry), kTpmTextMax);
    if (std::ranges::any_of(*field, [](unsigned char c) { return c < 0x20 || c == 0x7F; }))
      return BadSan("control characters");
  }
  return Unit{};
}

Result<Unit> ReadSubjectAltName(const X509* certificate, EkCertificate& out) {
  int critical = -1;
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  if (names == nullptr) {
    if (critical != -1) return BadSan("subjectAltName does not parse or occurs twice");
    return Unit{};
  }
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DIRNAME) SP_TRY(ReadTpmName(name->d.directoryName, out));
  }
  return Unit{};
}

Result<Unit> ReadTpm(const X509* certificate, EkCertificate& out) {
  SP_TRY(ReadSubjectAltName(certificate, out));
  // Some vendors name the TPM in the subject instead.
  if (out.manufacturer.empty() && out.model.empty() && out.version.empty())
    return ReadTpmName(X509_get_subject_name(certificate), out);
  return Unit{};
}

Result<PublicKey> PublicKeyOf(const X509* certificate, ByteView spki) {
  if (IsP256Spki(spki)) return PublicKey::FromSpki(spki);
  const EvpPkey key = KeyOf(certificate);
  if (key == nullptr) return Error{Reason::kUnsupported, "no key that OpenSSL knows", "ek.key"};
  return PublicKey::FromSpki(DerOf<i2d_PUBKEY>(key.get()));
}

}  // namespace

std::optional<uint32_t> EkCertificate::manufacturer_id() const { return HexId(manufacturer, 8); }

std::string EkCertificate::vendor() const {
  const std::optional<uint32_t> id = manufacturer_id();
  std::string out;
  for (int shift = 24; id.has_value() && shift >= 0; shift -= 8) {
    const char c = static_cast<char>(*id >> shift);
    if (c > 0x20 && c < 0x7F) out.push_back(c);
  }
  return out;
}

std::optional<uint32_t> EkCertificate::firmware() const {
  if (const std::optional<uint32_t> bytes = HexId(version, 4))
    return (*bytes >> 8) << 16 | (*bytes & 0xFF);
  return HexId(version, 8);
}

Result<EkCertificate> ReadEkCertificate(ByteView bytes) {
  SP_TRY(std::vector<Bytes> taken, TakeEkCertificates(bytes));
  if (taken.size() != 1) return Error{Reason::kMalformed, "several certificates", "ek.der"};
  X509Ptr certificate = DecodeX509(taken.front());
  if (certificate == nullptr) return Error{Reason::kMalformed, "not a certificate", "ek.der"};
  SP_TRY(const UnixTime not_before, TimeOf(X509_get0_notBefore(certificate.get()), "ek.der"));
  SP_TRY(const UnixTime not_after, TimeOf(X509_get0_notAfter(certificate.get()), "ek.der"));
  EkCertificate out{.der = std::move(taken.front()),
                    .spki = DerOf<i2d_X509_PUBKEY>(X509_get_X509_PUBKEY(certificate.get())),
                    .key = std::nullopt,
                    .key_name = KeyNameOf(certificate.get()),
                    .manufacturer = {},
                    .model = {},
                    .version = {},
                    .not_before = not_before,
                    .not_after = not_after,
                    .deviation = {}};
  out.deviation = FindDerDeviation(out.der).value_or("");
  if (Result<PublicKey> key = PublicKeyOf(certificate.get(), out.spki);
      key.has_value() && key->type() != KeyType::kEd25519)
    out.key = *std::move(key);
  SP_TRY(ReadTpm(certificate.get(), out));
  out.decoded = std::move(certificate);
  ERR_clear_error();
  return out;
}

}  // namespace sallyport::pki
