#include "pki/x509/issuer_certificate.h"

#include "pki/x509/pem.h"
#include "pki/x509/profile.h"

namespace sallyport::pki {
namespace {

constexpr size_t kOrganizationBytesMax = 64;  // RFC 5280 appendix A, ub-organization-name

Error Malformed(std::string_view rule, std::string_view why) {
  return Error{Reason::kMalformed, "issuer certificate: " + std::string(why), rule};
}

struct IssuerExtensions {
  bool ca = false;
  bool signs = false;
  std::optional<uint8_t> path_length;
  ByteView key_id;
};

Result<Unit> ReadBasicConstraints(const Extension& extension, IssuerExtensions& out) {
  if (!extension.critical) return Malformed("certificate.extension-critical", "basicConstraints");
  der::Reader outer(extension.value, "certificate.ca");
  SP_TRY(der::Reader fields, outer.Enter(der::kSequence));
  SP_TRY(outer.End());
  SP_TRY(const der::Reader::Flag ca, fields.Boolean());
  out.ca = ca.value;
  if (!fields.empty()) {
    SP_TRY(const uint64_t length, fields.Unsigned(der::kInteger));
    if (length > UINT8_MAX) return Malformed("certificate.ca", "path length");
    out.path_length = static_cast<uint8_t>(length);
  }
  return fields.End();
}

Result<Unit> ReadIssuerExtension(const Extension& extension, IssuerExtensions& out) {
  if (Equal(extension.oid, kOidBasicConstraints)) return ReadBasicConstraints(extension, out);
  if (Equal(extension.oid, kOidKeyUsage)) {
    if (!extension.critical) return Malformed("certificate.extension-critical", "keyUsage");
    if (!Equal(extension.value, kKeyUsageCertAndCrlSign))
      return Malformed("certificate.usage", "keyUsage of a CA");
    out.signs = true;
    return Ok();
  }
  if (Equal(extension.oid, kOidSubjectKeyId)) {
    SP_TRY(out.key_id, ReadSubjectKeyId(extension.value));
    return Ok();
  }
  // Our own verifier is stricter than any name constraint: trust domain and path are compared
  // whole.
  if (Equal(extension.oid, kOidNameConstraints)) return Ok();
  if (extension.critical)
    return Malformed("certificate.extension-critical", "unknown critical extension");
  return Ok();
}

Result<IssuerExtensions> ReadIssuerExtensions(const CertificateFields& fields) {
  IssuerExtensions out;
  for (const Extension& extension : fields.extensions) SP_TRY(ReadIssuerExtension(extension, out));
  if (!out.ca) return Malformed("certificate.ca", "not a CA");
  if (!out.signs) return Malformed("certificate.usage", "no keyUsage");
  if (out.key_id.empty()) return Malformed("certificate.key-id", "no subjectKeyIdentifier");
  return out;
}

Bytes EncodeAttribute(ByteView oid, std::string_view value) {
  const Bytes attribute =
      der::Encode(der::kSequence,
                  {der::Encode(der::kOid, {oid}), der::Encode(der::kUtf8String, {AsBytes(value)})});
  return der::Encode(der::kSet, {attribute});
}

Bytes EncodeSubject(const IssuerFields& fields) {
  Bytes names;
  const std::string& organization = fields.trust_domain.name();
  if (organization.size() <= kOrganizationBytesMax)
    Append(names, EncodeAttribute(kOidOrganization, organization));
  Append(names, EncodeAttribute(kOidCommonName, fields.common_name));
  return der::Encode(der::kSequence, {names});
}

Bytes EncodeSubtree(uint8_t tag, ByteView base) {
  return der::Encode(der::kSequence, {der::Encode(tag, {base})});
}

Bytes EncodeNameConstraints(const IssuerFields& fields) {
  const Bytes permitted =
      der::Encode(der::Context(0), {EncodeSubtree(kNameUri, AsBytes(fields.trust_domain.name()))});
  if (fields.scope == NameScope::kUriAndHosts) return der::Encode(der::kSequence, {permitted});
  // An empty DNS name and masks of zeros exclude every host (RFC 5280 4.2.1.10).
  constexpr std::array<uint8_t, 8> kAnyIpv4{};
  constexpr std::array<uint8_t, 32> kAnyIpv6{};
  const Bytes excluded =
      der::Encode(der::Context(1), {EncodeSubtree(kNameDns, {}), EncodeSubtree(kNameIp, kAnyIpv4),
                                    EncodeSubtree(kNameIp, kAnyIpv6)});
  return der::Encode(der::kSequence, {permitted, excluded});
}

Bytes EncodeIssuerExtensions(const IssuerFields& fields, ByteView spki, ByteView authority_key_id) {
  constexpr uint8_t kTrue[] = {0x01, 0x01, 0xFF};
  const Bytes basic_constraints =
      der::Encode(der::kSequence, {kTrue, der::EncodeUnsigned(der::kInteger, fields.path_length)});
  Bytes list = EncodeExtension(kOidBasicConstraints, true, basic_constraints);
  Append(list, EncodeExtension(kOidKeyUsage, true, kKeyUsageCertAndCrlSign));
  Append(list, EncodeSubjectKeyId(KeyIdOf(spki)));
  if (!authority_key_id.empty()) Append(list, EncodeAuthorityKeyId(authority_key_id));
  if (fields.scope != NameScope::kAny)
    Append(list, EncodeExtension(kOidNameConstraints, true, EncodeNameConstraints(fields)));
  return der::Encode(der::Context(3), {der::Encode(der::kSequence, {list})});
}

struct Signer {
  ByteView name;    // DER Name; empty for a root, which names itself
  ByteView key_id;  // empty for a root
  const PrivateKey& key;
};

Result<IssuerCertificate> Sign(const IssuerFields& fields, ByteView spki, const Signer& signer) {
  constexpr uint8_t kVersion3[] = {0xA0, 0x03, 0x02, 0x01, 0x02};
  if (!IsP256Spki(spki))
    return Error{Reason::kUnsupported, "issuer keys are P-256", "certificate.key"};
  const Bytes subject = EncodeSubject(fields);
  const Bytes validity = der::Encode(
      der::kSequence, {der::EncodeTime(fields.not_before), der::EncodeTime(fields.not_after)});
  const Bytes to_be_signed = der::Encode(
      der::kSequence, {kVersion3, der::EncodeUnsignedBytes(fields.serial), kEcdsaSha256,
                       signer.name.empty() ? ByteView(subject) : signer.name, validity, subject,
                       spki, EncodeIssuerExtensions(fields, spki, signer.key_id)});
  SP_TRY(const Bytes signature, signer.key.Sign(to_be_signed));
  return ParseIssuerCertificate(
      der::Encode(der::kSequence, {to_be_signed, kEcdsaSha256, der::EncodeBitString(signature)}));
}

}  // namespace

std::string IssuerCertificate::ToPem() const { return CertificatePem(der); }

Result<IssuerCertificate> ParseIssuerCertificate(ByteView der) {
  SP_TRY(const CertificateFields fields, ReadCertificate(der));
  SP_TRY(const IssuerExtensions extensions, ReadIssuerExtensions(fields));
  SP_TRY(PublicKey key, PublicKey::FromSpki(fields.spki));
  return IssuerCertificate{std::move(key),
                           ToBytes(extensions.key_id),
                           ToBytes(fields.subject),
                           ToBytes(fields.issuer),
                           fields.not_before,
                           fields.not_after,
                           extensions.path_length,
                           ToBytes(der),
                           RangeIn(der, fields.to_be_signed),
                           RangeIn(der, fields.signature)};
}

Result<IssuerCertificate> IssuerFromPem(std::string_view pem) {
  SP_TRY(const std::vector<Bytes> blocks, ParseCertificatePem(pem));
  if (blocks.size() != 1) return Error{Reason::kMalformed, "expected one certificate", "pem.count"};
  return ParseIssuerCertificate(blocks[0]);
}

Result<Unit> CheckIssuedBy(const IssuerCertificate& child, const IssuerCertificate& parent) {
  if (child.issuer != parent.subject)
    return Error{Reason::kMismatch, "certificate names another issuer", "issuer.name"};
  if (!parent.key.Verify(child.to_be_signed.In(child.der), child.signature.In(child.der))
           .has_value())
    return Error{Reason::kBadSignature, "certificate is not signed by its issuer",
                 "issuer.signature"};
  return Ok();
}

Result<IssuerCertificate> SignSelfIssued(const IssuerFields& fields, const PrivateKey& key) {
  return Sign(fields, key.public_key().spki(), Signer{{}, {}, key});
}

Result<IssuerCertificate> SignIssuer(const IssuerFields& fields, const PublicKey& subject_key,
                                     const IssuerCertificate& parent,
                                     const PrivateKey& parent_key) {
  IssuerFields cut = fields;
  cut.not_after = std::min(fields.not_after, parent.not_after);
  return Sign(cut, subject_key.spki(), Signer{parent.subject, parent.key_id, parent_key});
}

}  // namespace sallyport::pki
