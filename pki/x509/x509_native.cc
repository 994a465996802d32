#include "pki/x509/x509_native.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace sallyport::pki {

X509Ptr DecodeX509(ByteView der) {
  const unsigned char* at = der.data();
  X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate != nullptr && at != der.data() + der.size()) certificate.reset();
  ERR_clear_error();
  return certificate;
}

X509File ReadX509File(ByteView file) {
  constexpr std::string_view kPemHeader = "-----BEGIN";
  X509File out;
  if (AsText(file).find(kPemHeader) == std::string_view::npos) {
    if (X509Ptr one = DecodeX509(file))
      out.certificates.push_back(std::move(one));
    else
      out.fault = "not a certificate";
    return out;
  }
  ERR_clear_error();
  const BioPtr bio(BIO_new_mem_buf(file.data(), static_cast<int>(file.size())));
  while (X509Ptr one{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)})
    out.certificates.push_back(std::move(one));
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    out.fault = "a PEM block does not parse";
  else if (out.certificates.empty())
    out.fault = "PEM without a certificate";
  ERR_clear_error();
  return out;
}

std::string OidText(const ASN1_OBJECT* object) {
  std::array<char, 80> text{};
  OBJ_obj2txt(text.data(), text.size(), object, 1);
  return text.data();
}

std::string NameText(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  ERR_clear_error();
  return {text, static_cast<size_t>(std::max(size, 0L))};
}

std::string AsnText(const ASN1_STRING* text, size_t size_max) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, text);
  if (size < 0) return "";
  std::string out(reinterpret_cast<char*>(utf8), std::min(static_cast<size_t>(size), size_max));
  OPENSSL_free(utf8);
  return out;
}

Result<UnixTime> TimeOf(const ASN1_TIME* time, std::string_view rule) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1)
    return Error{Reason::kMalformed, "time", rule};
  return UnixTime::FromSeconds(timegm(&parts));
}

EvpPkey KeyOf(const X509* certificate) {
  EvpPkey key(X509_get_pubkey(const_cast<X509*>(certificate)));
  ASN1_OBJECT* algorithm = nullptr;
  const unsigned char* bits = nullptr;
  int size = 0;
  if (key == nullptr &&
      X509_PUBKEY_get0_param(&algorithm, &bits, &size, nullptr,
                             X509_get_X509_PUBKEY(certificate)) == 1 &&
      OBJ_obj2nid(algorithm) == NID_rsaesOaep) {
    const unsigned char* at = bits;
    key.reset(d2i_PublicKey(EVP_PKEY_RSA, nullptr, &at, size));
    if (at != bits + size) key.reset();
  }
  ERR_clear_error();
  return key;
}

std::string KeyNameOf(const X509* certificate) {
  const EvpPkey owned = KeyOf(certificate);
  const EVP_PKEY* const key = owned.get();
  if (key == nullptr) {
    ASN1_OBJECT* algorithm = nullptr;
    X509_PUBKEY_get0_param(&algorithm, nullptr, nullptr, nullptr,
                           X509_get_X509_PUBKEY(certificate));
    return OidText(algorithm);
  }
  if (EVP_PKEY_is_a(key, "RSA") == 1) return "rsa-" + std::to_string(EVP_PKEY_get_bits(key));
  std::array<char, 64> group{};
  if (EVP_PKEY_is_a(key, "EC") != 1 ||
      EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(),
                                     nullptr) != 1)
    return EVP_PKEY_get0_type_name(key);
  const std::string_view name(group.data());
  if (name == "prime256v1") return "p-256";
  if (name == "secp384r1") return "p-384";
  if (name == "secp521r1") return "p-521";
  return std::string(name);
}

bool SelfIssued(const X509* certificate) {
  return X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0;
}

}  // namespace sallyport::pki
