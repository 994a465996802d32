#include "pki/x509/ek_chain.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "pki/crypto/openssl_ptr.h"

namespace sallyport::pki {

namespace {

using GeneralNamesPtr = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;
using BasicConstraintsPtr = Owned<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free>;
using BitStringPtr = Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free>;
using ExtendedKeyUsagePtr = Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free>;

struct FreeX509Stack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};
using X509Stack = std::unique_ptr<STACK_OF(X509), FreeX509Stack>;

constexpr std::string_view kEkUsage = "2.23.133.8.1";
constexpr std::string_view kManufacturer = "2.23.133.2.1";
constexpr std::string_view kModel = "2.23.133.2.2";
constexpr std::string_view kVersion = "2.23.133.2.3";
constexpr std::string_view kPemHeader = "-----BEGIN";

Error Refuse(Reason reason, std::string detail, std::string_view rule) {
  return Error{reason, std::move(detail), rule};
}

// OneSequence cuts `bytes` behind their one DER SEQUENCE; what follows must be NV padding.
Result<ByteView> OneSequence(ByteView bytes) {
  const Error malformed = Refuse(Reason::kMalformed, "not one DER SEQUENCE", "ek.der");
  if (bytes.size() < 4 || bytes[0] != 0x30) return malformed;
  size_t header = 2;
  size_t length = bytes[1];
  if (length >= 0x80) {
    const size_t octets = length & 0x7f;
    if (octets == 0 || octets > 2) return malformed;
    header += octets;
    length = 0;
    for (size_t i = 0; i < octets; ++i) length = length << 8 | bytes[2 + i];
  }
  if (length > bytes.size() - header) return malformed;
  const ByteView padding = bytes.subspan(header + length);
  const auto all = [&](uint8_t fill) {
    return std::ranges::all_of(padding, [&](uint8_t b) { return b == fill; });
  };
  if (!all(0x00) && !all(0xff)) return malformed;
  return bytes.first(header + length);
}

X509Ptr DecodeDer(ByteView der) {
  const unsigned char* at = der.data();
  X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate != nullptr && at != der.data() + der.size()) certificate.reset();
  ERR_clear_error();
  return certificate;
}

Bytes EncodeDer(const X509* certificate) {
  unsigned char* out = nullptr;
  const int size = i2d_X509(certificate, &out);
  if (size <= 0) return {};
  Bytes der(out, out + size);
  OPENSSL_free(out);
  return der;
}

Result<Bytes> DerOf(ByteView bytes) {
  if (!AsText(bytes).starts_with(kPemHeader)) {
    SP_TRY(const ByteView der, OneSequence(bytes));
    return ToBytes(der);
  }
  const BioPtr bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  const X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (certificate == nullptr)
    return Refuse(Reason::kMalformed, "PEM does not hold a certificate", "ek.der");
  return EncodeDer(certificate.get());
}

std::string OidText(const ASN1_OBJECT* object) {
  char text[80] = {};
  OBJ_obj2txt(text, sizeof text, object, 1);
  return text;
}

Result<UnixTime> TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return Refuse(Reason::kMalformed, "validity", "ek.der");
  return UnixTime::FromSeconds(timegm(&parts));
}

// CheckKeyUsage: an EK decrypts or agrees on keys; a signing certificate of the same vendor is
// none.
Result<Unit> CheckKeyUsage(X509* certificate, KeyType type) {
  const uint32_t wanted = type == KeyType::kRsa ? KU_KEY_ENCIPHERMENT : KU_KEY_AGREEMENT;
  const BitStringPtr usage(static_cast<ASN1_BIT_STRING*>(
      X509_get_ext_d2i(certificate, NID_key_usage, nullptr, nullptr)));
  if (usage == nullptr || (X509_get_key_usage(certificate) & wanted) == 0)
    return Refuse(Reason::kMismatch,
                  type == KeyType::kRsa ? "no keyEncipherment" : "no keyAgreement", "ek.key-usage");
  return Unit{};
}

Result<Unit> CheckExtendedKeyUsage(X509* certificate) {
  int critical = -1;
  const ExtendedKeyUsagePtr usage(static_cast<EXTENDED_KEY_USAGE*>(
      X509_get_ext_d2i(certificate, NID_ext_key_usage, &critical, nullptr)));
  const Error refusal =
      Refuse(Reason::kMismatch, "not for endorsement keys", "ek.extended-key-usage");
  if (usage == nullptr)
    return critical == -1 ? Ok() : Result<Unit>(refusal);  // absent is allowed, unreadable is not
  for (int i = 0; i < sk_ASN1_OBJECT_num(usage.get()); ++i)
    if (OidText(sk_ASN1_OBJECT_value(usage.get(), i)) == kEkUsage) return Unit{};
  return refusal;
}

Result<Unit> CheckNoCa(X509* certificate) {
  int critical = -1;
  const BasicConstraintsPtr constraints(static_cast<BASIC_CONSTRAINTS*>(
      X509_get_ext_d2i(certificate, NID_basic_constraints, &critical, nullptr)));
  if (constraints == nullptr ? critical != -1 : constraints->ca != 0)
    return Refuse(Reason::kMismatch, "a CA certificate is no EK certificate", "ek.ca");
  return Unit{};
}

void ReadTpmName(X509_NAME* name, EkCertificate& out) {
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    X509_NAME_ENTRY* const entry = X509_NAME_get_entry(name, i);
    unsigned char* utf8 = nullptr;
    const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    if (size < 0) continue;
    const std::string value(reinterpret_cast<char*>(utf8), static_cast<size_t>(std::min(size, 64)));
    OPENSSL_free(utf8);
    const std::string oid = OidText(X509_NAME_ENTRY_get_object(entry));
    if (oid == kManufacturer) out.manufacturer = value;
    if (oid == kModel) out.model = value;
    if (oid == kVersion) out.version = value;
  }
}

void ReadSubjectAlternativeName(X509* certificate, EkCertificate& out) {
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DIRNAME) ReadTpmName(name->d.directoryName, out);
  }
}

Result<PublicKey> KeyOf(X509* certificate) {
  unsigned char* out = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &out);
  if (size <= 0) return Refuse(Reason::kMalformed, "no public key", "ek.der");
  const Bytes spki(out, out + size);
  OPENSSL_free(out);
  Result<PublicKey> key = PublicKey::FromSpki(spki);
  if (!key.has_value() || key->type() == KeyType::kEd25519)
    return Refuse(Reason::kUnsupported, "RSA from 2048 bits, P-256 and P-384 are accepted",
                  "ek.key");
  return key;
}

}  // namespace

Result<EkCertificate> ParseEkCertificate(ByteView bytes) {
  if (bytes.size() > kEkCertificateBytesMax)
    return Refuse(Reason::kTooLarge, "EK certificate", "ek.size");
  SP_TRY(Bytes der, DerOf(bytes));
  const X509Ptr certificate = DecodeDer(der);
  if (certificate == nullptr) return Refuse(Reason::kMalformed, "not a certificate", "ek.der");
  SP_TRY(PublicKey key, KeyOf(certificate.get()));
  SP_TRY(CheckKeyUsage(certificate.get(), key.type()));
  SP_TRY(CheckExtendedKeyUsage(certificate.get()));
  SP_TRY(CheckNoCa(certificate.get()));
  SP_TRY(const UnixTime not_before, TimeOf(X509_get0_notBefore(certificate.get())));
  SP_TRY(const UnixTime not_after, TimeOf(X509_get0_notAfter(certificate.get())));
  EkCertificate out{std::move(key), "", "", "", not_before, not_after, std::move(der)};
  ReadSubjectAlternativeName(certificate.get(), out);
  ERR_clear_error();
  return out;
}

struct EkRoots::State {
  X509StorePtr store;
  X509Stack intermediates;
  size_t anchors = 0;
};

namespace {

bool SelfIssued(X509* certificate) {
  return X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0;
}

// ReadAll reads one DER certificate or every PEM block of a file.
std::vector<X509Ptr> ReadAll(ByteView file) {
  std::vector<X509Ptr> out;
  if (AsText(file).find(kPemHeader) == std::string_view::npos) {
    if (X509Ptr one = DecodeDer(file)) out.push_back(std::move(one));
    return out;
  }
  const BioPtr bio(BIO_new_mem_buf(file.data(), static_cast<int>(file.size())));
  while (X509Ptr one{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)})
    out.push_back(std::move(one));
  ERR_clear_error();
  return out;
}

}  // namespace

Result<EkRoots> EkRoots::FromCertificates(std::span<const Bytes> files) {
  auto state = std::make_shared<State>();
  state->store.reset(X509_STORE_new());
  state->intermediates.reset(sk_X509_new_null());
  for (const Bytes& file : files) {
    std::vector<X509Ptr> certificates = ReadAll(file);
    if (certificates.empty()) return Refuse(Reason::kMalformed, "not a certificate", "ek.root");
    for (X509Ptr& certificate : certificates) {
      if (SelfIssued(certificate.get())) {
        if (X509_STORE_add_cert(state->store.get(), certificate.get()) != 1)
          return Refuse(Reason::kMalformed, DrainOpenSslErrors(), "ek.root");
        ++state->anchors;
      } else if (sk_X509_push(state->intermediates.get(), certificate.get()) > 0) {
        static_cast<void>(certificate.release());  // the stack owns it
      }
    }
  }
  if (state->anchors == 0)
    return Refuse(Reason::kInvalidArgument, "no self-signed certificate", "ek.no-root");
  return EkRoots(std::move(state));
}

size_t EkRoots::anchor_count() const { return state_->anchors; }

Result<Unit> EkRoots::Verify(const EkCertificate& leaf, std::span<const Bytes> intermediates,
                             UnixTime now) const {
  if (intermediates.size() + 1 > kEkChainMax)
    return Refuse(Reason::kTooLarge, "EK chain", "ek.chain-length");
  const X509Ptr certificate = DecodeDer(leaf.der);
  const X509Stack untrusted(X509_chain_up_ref(state_->intermediates.get()));
  const X509StoreCtxPtr context(X509_STORE_CTX_new());
  if (certificate == nullptr || untrusted == nullptr || context == nullptr)
    return Refuse(Reason::kInternal, DrainOpenSslErrors(), "ek.chain");
  for (const Bytes& bytes : intermediates) {
    if (bytes.size() > kEkCertificateBytesMax)
      return Refuse(Reason::kTooLarge, "EK intermediate", "ek.size");
    SP_TRY(const ByteView der, OneSequence(bytes));
    X509Ptr intermediate = DecodeDer(der);
    if (intermediate == nullptr) return Refuse(Reason::kMalformed, "EK intermediate", "ek.der");
    if (sk_X509_push(untrusted.get(), intermediate.get()) > 0)
      static_cast<void>(intermediate.release());
  }
  if (X509_STORE_CTX_init(context.get(), state_->store.get(), certificate.get(), untrusted.get()) !=
      1)
    return Refuse(Reason::kInternal, DrainOpenSslErrors(), "ek.chain");
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, now.seconds());
  X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(kEkChainMax));
  X509_VERIFY_PARAM_set_auth_level(parameters,
                                   1);  // refuses SHA-1 and RSA below 1024 bits in the chain
  const int verified = X509_verify_cert(context.get());
  const int code = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (verified == 1) return Unit{};
  const bool time = code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID;
  return Refuse(time ? Reason::kExpired : Reason::kUntrusted, X509_verify_cert_error_string(code),
                time ? "ek.expired" : "ek.chain");
}

}  // namespace sallyport::pki
