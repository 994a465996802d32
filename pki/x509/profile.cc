#include "pki/x509/profile.h"

#include "pki/crypto/hash.h"
#include "pki/x509/pem.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kDerRule = "certificate.der";
constexpr uint64_t kVersion3 = 2;
constexpr size_t kHostNameBytesMax = 253;
constexpr size_t kLabelBytesMax = 63;

Error Malformed(std::string_view rule, std::string_view why) {
  return Error{Reason::kMalformed, "certificate: " + std::string(why), rule};
}

Result<Unit> ReadVersion(der::Reader& reader) {
  if (!reader.NextIs(der::Context(0))) return Malformed("certificate.version", "not version 3");
  SP_TRY(der::Reader version, reader.Enter(der::Context(0)));
  SP_TRY(const uint64_t value, version.Unsigned(der::kInteger));
  SP_TRY(version.End());
  if (value != kVersion3) return Malformed("certificate.version", "not version 3");
  return Ok();
}

Result<ByteView> ReadSerial(der::Reader& reader) {
  Result<ByteView> serial = reader.UnsignedBytes(kSerialBytesMax);
  if (!serial.has_value()) return Malformed("certificate.serial", serial.error().detail);
  return serial;
}

Result<Unit> ReadAlgorithm(der::Reader& reader) {
  SP_TRY(const der::Element algorithm, reader.Next(der::kSequence));
  if (!Equal(algorithm.whole, kEcdsaSha256))
    return Error{Reason::kUnsupported, "certificate: signature is not ecdsa-with-SHA256",
                 "certificate.algorithm"};
  return Ok();
}

Result<Unit> ReadValidity(der::Reader& reader, CertificateFields& out) {
  SP_TRY(der::Reader validity, reader.Enter(der::kSequence));
  auto not_before = validity.Time();
  auto not_after = not_before.has_value() ? validity.Time() : not_before;
  if (!not_after.has_value()) return Malformed("certificate.validity", not_after.error().detail);
  SP_TRY(validity.End());
  if (*not_after < *not_before) return Malformed("certificate.validity", "ends before it begins");
  out.not_before = *not_before;
  out.not_after = *not_after;
  return Ok();
}

Result<Extension> ReadExtension(der::Reader& reader) {
  SP_TRY(der::Reader one, reader.Enter(der::kSequence));
  Extension extension;
  SP_TRY(extension.oid, one.Content(der::kOid));
  if (one.NextIs(der::kBoolean)) {
    SP_TRY(const der::Reader::Flag flag, one.Boolean());
    if (!flag.value) return Malformed(kDerRule, "a default is encoded");
    extension.critical = true;
  }
  SP_TRY(extension.value, one.Content(der::kOctetString));
  SP_TRY(one.End());
  return extension;
}

Result<std::vector<Extension>> ReadExtensions(der::Reader& reader) {
  SP_TRY(der::Reader wrapper, reader.Enter(der::Context(3)));
  SP_TRY(der::Reader list, wrapper.Enter(der::kSequence));
  SP_TRY(wrapper.End());
  std::vector<Extension> out;
  out.reserve(kExtensionsMax);
  while (!list.empty()) {
    if (out.size() == kExtensionsMax) return Malformed(kDerRule, "too many extensions");
    SP_TRY(const Extension extension, ReadExtension(list));
    const auto same = [&](const Extension& seen) { return Equal(seen.oid, extension.oid); };
    if (std::ranges::any_of(out, same))
      return Malformed("certificate.extension-twice", "an extension occurs twice");
    out.push_back(extension);
  }
  return out;
}

Result<Unit> ReadToBeSigned(ByteView content, CertificateFields& out) {
  der::Reader reader(content, kDerRule);
  SP_TRY(ReadVersion(reader));
  SP_TRY(out.serial, ReadSerial(reader));
  SP_TRY(ReadAlgorithm(reader));
  SP_TRY(const der::Element issuer, reader.Next(der::kSequence));
  SP_TRY(ReadValidity(reader, out));
  SP_TRY(const der::Element subject, reader.Next(der::kSequence));
  SP_TRY(const der::Element spki, reader.Next(der::kSequence));
  if (!IsP256Spki(spki.whole)) return Malformed("certificate.key", "key is not P-256");
  out.issuer = issuer.whole;
  out.subject = subject.whole;
  out.spki = spki.whole;
  SP_TRY(out.extensions, ReadExtensions(reader));
  return reader.End();
}

}  // namespace

bool IsP256Spki(ByteView spki) {
  return spki.size() == kP256SpkiSize && Equal(spki.first(kP256SpkiPrefix.size()), kP256SpkiPrefix);
}

Bytes KeyIdOf(ByteView p256_spki) {
  SP_CHECK(IsP256Spki(p256_spki));
  constexpr size_t kKeyIdSize = 20;
  const Sha256Digest digest = Sha256(p256_spki.subspan(kP256SpkiPrefix.size() - 1));
  return ToBytes(digest.view().first(kKeyIdSize));
}

bool IsHostName(std::string_view name) {
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (name.empty() || name.size() > kHostNameBytesMax) return false;
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  };
  while (true) {
    const size_t dot = std::min(name.find('.'), name.size());
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || label.size() > kLabelBytesMax || !std::ranges::all_of(label, allowed))
      return false;
    if (dot == name.size()) return true;
    name.remove_prefix(dot + 1);
  }
}

Result<CertificateFields> ReadCertificate(ByteView bytes) {
  if (bytes.size() > kCertificateBytesMax)
    return Error{Reason::kTooLarge, "certificate of " + std::to_string(bytes.size()) + " bytes",
                 "certificate.size"};
  der::Reader outer(bytes, kDerRule);
  SP_TRY(der::Reader certificate, outer.Enter(der::kSequence));
  SP_TRY(outer.End());
  SP_TRY(const der::Element to_be_signed, certificate.Next(der::kSequence));
  CertificateFields out;
  out.to_be_signed = to_be_signed.whole;
  SP_TRY(ReadToBeSigned(to_be_signed.content, out));
  SP_TRY(ReadAlgorithm(certificate));
  SP_TRY(out.signature, certificate.BitString());
  SP_TRY(certificate.End());
  return out;
}

Result<ByteView> ReadAuthorityKeyId(ByteView value) {
  der::Reader outer(value, "certificate.key-id");
  SP_TRY(der::Reader fields, outer.Enter(der::kSequence));
  SP_TRY(outer.End());
  SP_TRY(const ByteView key_id, fields.Content(der::ContextPrimitive(0)));
  SP_TRY(fields.End());
  if (key_id.empty() || key_id.size() > kKeyIdBytesMax)
    return Malformed("certificate.key-id", "size");
  return key_id;
}

Result<ByteView> ReadSubjectKeyId(ByteView value) {
  der::Reader outer(value, "certificate.key-id");
  SP_TRY(const ByteView key_id, outer.Content(der::kOctetString));
  SP_TRY(outer.End());
  if (key_id.empty() || key_id.size() > kKeyIdBytesMax)
    return Malformed("certificate.key-id", "size");
  return key_id;
}

Bytes EncodeExtension(ByteView oid, bool critical, ByteView value) {
  constexpr uint8_t kTrue[] = {0x01, 0x01, 0xFF};
  return der::Encode(der::kSequence,
                     {der::Encode(der::kOid, {oid}), critical ? ByteView(kTrue) : ByteView(),
                      der::Encode(der::kOctetString, {value})});
}

Bytes EncodeAuthorityKeyId(ByteView key_id) {
  const Bytes field = der::Encode(der::ContextPrimitive(0), {key_id});
  return EncodeExtension(kOidAuthorityKeyId, false, der::Encode(der::kSequence, {field}));
}

Bytes EncodeSubjectKeyId(ByteView key_id) {
  return EncodeExtension(kOidSubjectKeyId, false, der::Encode(der::kOctetString, {key_id}));
}

}  // namespace sallyport::pki
