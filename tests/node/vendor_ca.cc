#include "tests/node/vendor_ca.h"

#include <initializer_list>

#include "pki/x509/pem.h"

namespace sallyport::node {
namespace {

constexpr std::string_view kRootName = "Sallyport Test TPM Root CA";
constexpr std::string_view kIntermediateName = "Sallyport Test TPM EK CA 1";

// DER by hand and apart from pki/x509 on purpose: the product must read certificates it did not
// write.
Bytes Tlv(uint8_t tag, std::initializer_list<ByteView> parts) {
  Bytes body;
  for (const ByteView part : parts) Append(body, part);
  ByteWriter out;
  out.U8(tag);
  SP_CHECK(body.size() <= UINT16_MAX);
  if (body.size() > 0xff) {
    out.U8(0x82).BigU16(static_cast<uint16_t>(body.size()));
  } else {
    if (body.size() >= 0x80) out.U8(0x81);
    out.U8(static_cast<uint8_t>(body.size()));
  }
  return std::move(out.Raw(body)).Take();
}
Bytes Seq(std::initializer_list<ByteView> parts) { return Tlv(0x30, parts); }
Bytes Utf8(std::string_view text) { return Tlv(0x0c, {AsBytes(text)}); }
Bytes Integer(uint8_t value) { return Bytes{0x02, 0x01, value}; }
Bytes BitString(ByteView bytes) { return Tlv(0x03, {Bytes{0}, bytes}); }

// OBJECT IDENTIFIERs with their tag and length.
const Bytes kEcdsaWithSha256{0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2};
const Bytes kCommonName{0x06, 3, 0x55, 4, 3};
const Bytes kTpmManufacturer{0x06, 5, 0x67, 0x81, 5, 2, 1};      // 2.23.133.2.1
const Bytes kTpmModel{0x06, 5, 0x67, 0x81, 5, 2, 2};             // 2.23.133.2.2
const Bytes kTpmVersion{0x06, 5, 0x67, 0x81, 5, 2, 3};           // 2.23.133.2.3
const Bytes kTpmSpecification{0x06, 5, 0x67, 0x81, 5, 2, 16};    // 2.23.133.2.16
const Bytes kEkCertificateUsage{0x06, 5, 0x67, 0x81, 5, 8, 1};   // 2.23.133.8.1
const Bytes kIakCertificateUsage{0x06, 5, 0x67, 0x81, 5, 8, 3};  // 2.23.133.8.3
const Bytes kSerialNumber{0x06, 3, 0x55, 4, 5};
const Bytes kSubjectDirectory{0x06, 3, 0x55, 0x1d, 9};
const Bytes kSubjectKeyId{0x06, 3, 0x55, 0x1d, 14};
const Bytes kKeyUsage{0x06, 3, 0x55, 0x1d, 15};
const Bytes kAlternativeName{0x06, 3, 0x55, 0x1d, 17};
const Bytes kBasicConstraints{0x06, 3, 0x55, 0x1d, 19};
const Bytes kAuthorityKeyId{0x06, 3, 0x55, 0x1d, 35};
const Bytes kExtendedKeyUsage{0x06, 3, 0x55, 0x1d, 37};
const Bytes kCritical{0x01, 1, 0xff};

Bytes Extension(const Bytes& oid, bool critical, const Bytes& value) {
  return Seq({oid, critical ? kCritical : Bytes{}, Tlv(0x04, {value})});
}

Bytes Rdn(const Bytes& oid, std::string_view text) { return Tlv(0x31, {Seq({oid, Utf8(text)})}); }
Bytes CommonName(std::string_view name) { return Seq({Rdn(kCommonName, name)}); }

// Time writes UTCTime through 2049 and GeneralizedTime afterwards (RFC 5280, 4.1.2.5).
Bytes Time(UnixTime time) {
  std::string digits;
  for (const char c : FormatRfc3339(time))
    if (c >= '0' && c <= '9') digits += c;
  digits += 'Z';
  const bool utc = digits < "2050";
  return Tlv(utc ? 0x17 : 0x18, {AsBytes(utc ? std::string_view(digits).substr(2) : digits)});
}

Bytes KeyId(ByteView spki) { return ToBytes(pki::Sha256(spki).view().first(20)); }

struct Fields {
  Bytes issuer;
  Bytes subject;
  Bytes spki;
  UnixTime not_before;
  UnixTime not_after;
  Bytes extensions;  // the Extension values, one after the other
};

Result<Bytes> Sign(const Fields& fields, const pki::PrivateKey& key, Random& random) {
  std::array<uint8_t, 16> serial;
  random.Fill(serial);
  serial[0] = static_cast<uint8_t>((serial[0] & 0x7f) | 0x40);  // positive, and of one length
  const Bytes algorithm = Seq({kEcdsaWithSha256});
  const Bytes to_be_signed =
      Seq({Tlv(0xa0, {Integer(2)}), Tlv(0x02, {serial}), algorithm, fields.issuer,
           Seq({Time(fields.not_before), Time(fields.not_after)}), fields.subject, fields.spki,
           Tlv(0xa3, {Seq({fields.extensions})})});
  SP_TRY(const Bytes signature, key.Sign(to_be_signed));
  return Seq({to_be_signed, algorithm, BitString(signature)});
}

// AuthorityExtensions: a CA with `path_length` more below it, for keyCertSign and cRLSign.
Bytes AuthorityExtensions(uint8_t path_length, ByteView spki, ByteView issuer_spki) {
  Bytes out = Extension(kBasicConstraints, true, Seq({Bytes{0x01, 1, 0xff}, Integer(path_length)}));
  Append(out, Extension(kKeyUsage, true, Bytes{0x03, 2, 1, 0x06}));
  Append(out, Extension(kSubjectKeyId, false, Tlv(0x04, {KeyId(spki)})));
  Append(out, Extension(kAuthorityKeyId, false, Seq({Tlv(0x80, {KeyId(issuer_spki)})})));
  return out;
}

Bytes EkExtensions(EkKind kind, ByteView issuer_spki) {
  // The software TPM's manufacturer property is "IBM" with a zero byte.
  const Bytes tpm = Seq({Rdn(kTpmManufacturer, "id:49424D00"), Rdn(kTpmModel, "swtpm"),
                         Rdn(kTpmVersion, "id:20191023")});
  const Bytes specification = Seq({Utf8("2.0"), Integer(0), Bytes{0x02, 2, 0, 164}});
  // keyEncipherment, or keyAgreement.
  const Bytes usage = kind == EkKind::kRsa2048 ? Bytes{0x03, 2, 5, 0x20} : Bytes{0x03, 2, 3, 0x08};
  Bytes out = Extension(kAlternativeName, true, Seq({Tlv(0xa4, {tpm})}));
  Append(out, Extension(kBasicConstraints, true, Seq({})));
  Append(out, Extension(kSubjectDirectory, false,
                        Seq({Seq({kTpmSpecification, Tlv(0x31, {specification})})})));
  Append(out, Extension(kExtendedKeyUsage, false, Seq({kEkCertificateUsage})));
  Append(out, Extension(kKeyUsage, true, usage));
  Append(out, Extension(kAuthorityKeyId, false, Seq({Tlv(0x80, {KeyId(issuer_spki)})})));
  return out;
}

constexpr size_t kPemBytesMax = 16384;

Result<Bytes> ReadCertificate(FileSystem& files, const std::string& path) {
  SP_TRY(const Bytes text, ReadFile(files, path, kPemBytesMax));
  SP_TRY(std::vector<Bytes> certificates, pki::ParseCertificatePem(AsText(text)));
  return std::move(certificates.front());
}

}  // namespace

Result<VendorCa> VendorCa::Make(UnixTime now, Random& random) {
  SP_TRY(const pki::PrivateKey root_key, pki::PrivateKey::Generate(pki::KeyType::kP256));
  SP_TRY(pki::PrivateKey key, pki::PrivateKey::Generate(pki::KeyType::kP256));
  const Bytes& root_spki = root_key.public_key().spki();
  const Bytes root_name = CommonName(kRootName);
  Fields fields{root_name,
                root_name,
                root_spki,
                now - Hours(1),
                now + Days(20 * 365),
                AuthorityExtensions(1, root_spki, root_spki)};
  SP_TRY(Bytes root, Sign(fields, root_key, random));
  fields.subject = CommonName(kIntermediateName);
  fields.spki = key.public_key().spki();
  fields.extensions = AuthorityExtensions(0, fields.spki, root_spki);
  SP_TRY(Bytes intermediate, Sign(fields, root_key, random));
  return VendorCa(std::move(root), std::move(intermediate), std::move(key));
}

Result<Unit> VendorCa::Save(FileSystem& files, const std::string& dir) const {
  SP_TRY(files.MakeDirectories(dir));
  SP_TRY(const std::string key, key_.SealedPem(""));
  SP_TRY(WriteFileAtomically(files, dir + "/root.pem", AsBytes(pki::CertificatePem(root_))));
  SP_TRY(WriteFileAtomically(files, dir + "/intermediate.pem",
                             AsBytes(pki::CertificatePem(intermediate_))));
  return WriteFileAtomically(files, dir + "/intermediate.key", AsBytes(key));
}

Result<VendorCa> VendorCa::Load(FileSystem& files, const std::string& dir) {
  SP_TRY(Bytes root, ReadCertificate(files, dir + "/root.pem"));
  SP_TRY(Bytes intermediate, ReadCertificate(files, dir + "/intermediate.pem"));
  SP_TRY(const Bytes pem, ReadFile(files, dir + "/intermediate.key", kPemBytesMax));
  SP_TRY(pki::PrivateKey key, pki::PrivateKey::FromPem(AsText(pem), ""));
  return VendorCa(std::move(root), std::move(intermediate), std::move(key));
}

Result<Bytes> VendorCa::IssueEk(EkKind kind, ByteView spki, UnixTime now, Random& random) const {
  SP_TRY(const UnixTime never, ParseRfc3339("9999-12-31T23:59:59Z"));
  const Fields fields{CommonName(kIntermediateName),
                      Seq({}),
                      ToBytes(spki),
                      now - Hours(1),
                      never,
                      EkExtensions(kind, key_.public_key().spki())};
  return Sign(fields, key_, random);
}

Result<Bytes> VendorCa::IssueIak(ByteView spki, std::string_view machine, UnixTime now,
                                 Random& random) const {
  SP_TRY(const UnixTime never, ParseRfc3339("9999-12-31T23:59:59Z"));
  Bytes extensions = Extension(kBasicConstraints, true, Seq({}));
  Append(extensions, Extension(kExtendedKeyUsage, false, Seq({kIakCertificateUsage})));
  Append(extensions, Extension(kKeyUsage, true, Bytes{0x03, 2, 7, 0x80}));  // digitalSignature
  Append(extensions,
         Extension(kAuthorityKeyId, false, Seq({Tlv(0x80, {KeyId(key_.public_key().spki())})})));
  const Fields fields{CommonName(kIntermediateName),
                      Seq({Rdn(kSerialNumber, machine)}),
                      ToBytes(spki),
                      now - Hours(1),
                      never,
                      std::move(extensions)};
  return Sign(fields, key_, random);
}

Result<std::vector<EndorsementKey>> Manufacture(SwTpm& tpm, const VendorCa& vendor, UnixTime now,
                                                Random& random) {
  SP_TRY(EsysTpm commands, EsysTpm::Connect(tpm.tcti()));
  SP_TRY(commands.OnlySha256Bank());
  std::vector<EndorsementKey> keys;
  for (const EkKind kind : {EkKind::kRsa2048, EkKind::kP256}) {
    SP_TRY(const Bytes spki, commands.EkSpki(kind));
    SP_TRY(Bytes certificate, vendor.IssueEk(kind, spki, now, random));
    const uint32_t index =
        kind == EkKind::kRsa2048 ? kEkCertificateRsa2048Index : kEkCertificateP256Index;
    SP_TRY(commands.WriteCertificate(index, certificate));
    keys.push_back({kind, pki::Sha256(spki), std::move(certificate)});
  }
  SP_TRY(tpm.Reset());
  return keys;
}

}  // namespace sallyport::node
