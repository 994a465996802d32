// OpenSSL handles and conversions that the judges of foreign certificates share. For pki/x509 only.
#pragma once

#include <openssl/x509v3.h>

#include <string>
#include <vector>

#include "pki/base/bytes.h"
#include "pki/base/time.h"
#include "pki/crypto/openssl_ptr.h"

namespace sallyport::pki {

using GeneralNamesPtr = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;
using BasicConstraintsPtr = Owned<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free>;
using BitStringPtr = Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free>;
using ExtendedKeyUsagePtr = Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free>;
using AsnObjectPtr = Owned<ASN1_OBJECT, ASN1_OBJECT_free>;

// DerOf is an object's encoding, `DerOf<i2d_X509>(certificate)`; empty when OpenSSL has none.
template <auto Encode, typename Object>
Bytes DerOf(const Object* object) {
  unsigned char* out = nullptr;
  const int size = Encode(object, &out);
  if (size <= 0) return {};
  Bytes der(out, out + size);
  OPENSSL_free(out);
  return der;
}

// X509File is the certificates of a file; `fault` says why there are not more.
struct X509File {
  std::vector<X509Ptr> certificates;
  std::string fault;  // empty: there is at least one, and every one was read
};
// ReadX509File reads one DER certificate or every PEM block.
X509File ReadX509File(ByteView file);

// DecodeX509 reads exactly one certificate; null otherwise.
X509Ptr DecodeX509(ByteView der);
std::string OidText(const ASN1_OBJECT* object);
// NameText is a distinguished name on one line, for people.
std::string NameText(const X509_NAME* name);
// AsnText is the text of a directory string in UTF-8, cut at `size_max`; empty when it has none.
std::string AsnText(const ASN1_STRING* text, size_t size_max);
// TimeOf: kMalformed with `rule`.
Result<UnixTime> TimeOf(const ASN1_TIME* time, std::string_view rule);
// KeyOf is the certificate's public key, or null. Older vendors name RSA keys by what they are for
// (id-RSAES-OAEP, RFC 4055), which OpenSSL does not read.
EvpPkey KeyOf(const X509* certificate);
// KeyNameOf is "rsa-2048", "p-256" and so on, or the algorithm's name.
std::string KeyNameOf(const X509* certificate);
// SelfIssued: subject and issuer are the same name.
bool SelfIssued(const X509* certificate);

}  // namespace sallyport::pki
