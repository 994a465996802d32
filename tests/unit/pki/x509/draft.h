// A leaf certificate with any one thing wrong.
#pragma once

#include <map>

#include "pki/ca/signers.h"
#include "pki/x509/profile.h"

namespace sallyport::pki {

// Draft is a leaf built piece by piece, so that a test can get one piece wrong.
struct Draft {
  Bytes version = {0xA0, 0x03, 0x02, 0x01, 0x02};
  Bytes serial = der::EncodeUnsigned(der::kInteger, 77);
  Bytes algorithm = ToBytes(ByteView(kEcdsaSha256));
  Bytes outer_algorithm = algorithm;
  UnixTime not_before = UnixTime::FromSeconds(1'800'000'000);
  UnixTime not_after = UnixTime::FromSeconds(1'800'000'060);
  Bytes subject = {0x30, 0x00};
  Bytes spki;
  std::map<std::string, Bytes> extensions;  // by the order of their names

  explicit Draft(const Bytes& key) : spki(key) {
    Put("basic", kOidBasicConstraints, true, Bytes{0x30, 0x00});
    Put("usage", kOidKeyUsage, true, kKeyUsageDigitalSignature);
    Put("purpose", kOidExtKeyUsage, false, Purposes({kOidClientAuth, kOidServerAuth}));
    KeyId(Bytes(20, 1));
    Names({Name(kNameUri, "spiffe://edge.example/server/a")});
  }
  static Bytes Sequence(std::initializer_list<ByteView> parts) {
    return der::Encode(der::kSequence, parts);
  }
  static Bytes Name(uint8_t tag, std::string_view text) {
    return der::Encode(tag, {AsBytes(text)});
  }
  static Bytes Purposes(const std::vector<ByteView>& oids) {
    Bytes all;
    for (const ByteView oid : oids) Append(all, der::Encode(der::kOid, {oid}));
    return Sequence({all});
  }
  void Put(const std::string& name, ByteView oid, bool critical, ByteView value) {
    extensions[name] = EncodeExtension(oid, critical, value);
  }
  void KeyId(ByteView id) {
    Put("aki", kOidAuthorityKeyId, false, Sequence({der::Encode(der::ContextPrimitive(0), {id})}));
  }
  void Names(const std::vector<Bytes>& names, bool critical = true) {
    Bytes all;
    for (const Bytes& name : names) Append(all, name);
    Put("san", kOidSubjectAltName, critical, Sequence({all}));
  }
  // Build signs with rubbish.
  Bytes Build() const { return Finish(ToBeSigned(Bytes{0x30, 0x00}), Bytes(8, 0)); }
  // SignedBy is a certificate that `issuer` really signed.
  Bytes SignedBy(const IssuerKey& issuer) {
    KeyId(issuer.certificate.key_id);
    const Bytes tbs = ToBeSigned(issuer.certificate.subject);
    return Finish(tbs, *issuer.key.Sign(tbs));
  }
  Bytes ToBeSigned(ByteView issuer_name) const {
    Bytes list;
    for (const auto& [name, extension] : extensions) Append(list, extension);
    return Sequence({version, serial, algorithm, issuer_name,
                     Sequence({der::EncodeTime(not_before), der::EncodeTime(not_after)}), subject,
                     spki, der::Encode(der::Context(3), {Sequence({list})})});
  }
  Bytes Finish(ByteView tbs, ByteView signature) const {
    return Sequence({tbs, outer_algorithm, der::EncodeBitString(signature)});
  }
  std::string_view Rule() const {
    const auto read = ParseIdentityCertificate(Build());
    return read ? "accepted" : read.error().rule;
  }
};

}  // namespace sallyport::pki
