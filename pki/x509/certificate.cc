#include "pki/x509/certificate.h"

#include "pki/x509/pem.h"
#include "pki/x509/profile.h"

namespace sallyport::pki {
namespace {

Error Malformed(std::string_view rule, std::string_view why) {
  return Error{Reason::kMalformed, "certificate: " + std::string(why), rule};
}

// LeafExtensions collects what the extensions of a leaf say; each is read at most once.
struct LeafExtensions {
  bool basic_constraints = false;
  bool key_usage = false;
  bool ext_key_usage = false;
  std::optional<SpiffeId> spiffe_id;
  std::vector<std::string> dns_names;
  std::vector<Bytes> ip_addresses;
  std::optional<IdentityExtension> identity;
  ByteView issuer_key_id;
};

Result<Unit> ReadUriName(ByteView value, LeafExtensions& out) {
  if (out.spiffe_id) return Malformed("certificate.san-uri", "several URI names");
  Result<SpiffeId> id = SpiffeId::Parse(AsText(value));
  if (!id.has_value()) return Malformed("certificate.san-uri", id.error().detail);
  out.spiffe_id = *std::move(id);
  return Ok();
}

Result<Unit> ReadName(const der::Element& name, LeafExtensions& out) {
  switch (name.tag) {
    case kNameUri: return ReadUriName(name.content, out);
    case kNameDns:
      if (!IsHostName(AsText(name.content))) return Malformed("certificate.san", "DNS name");
      out.dns_names.push_back(ToString(name.content));
      return Ok();
    case kNameIp:
      if (name.content.size() != 4 && name.content.size() != 16)
        return Malformed("certificate.san", "address");
      out.ip_addresses.push_back(ToBytes(name.content));
      return Ok();
  }
  return Malformed("certificate.san", "name of another kind");
}

Result<Unit> ReadSubjectAltName(const Extension& extension, bool empty_subject,
                                LeafExtensions& out) {
  // RFC 5280 4.2.1.6: critical when it is all there is to name the subject.
  if (extension.critical != empty_subject)
    return Malformed("certificate.extension-critical", "subjectAltName");
  der::Reader outer(extension.value, "certificate.san");
  SP_TRY(der::Reader names, outer.Enter(der::kSequence));
  SP_TRY(outer.End());
  while (!names.empty()) {
    SP_TRY(const der::Element name, names.Any());
    SP_TRY(ReadName(name, out));
  }
  return Ok();
}

Result<Unit> ReadBasicConstraints(const Extension& extension, LeafExtensions& out) {
  if (!extension.critical) return Malformed("certificate.extension-critical", "basicConstraints");
  constexpr uint8_t kNoCa[] = {0x30, 0x00};
  if (!Equal(extension.value, kNoCa)) return Malformed("certificate.ca", "a leaf is no CA");
  out.basic_constraints = true;
  return Ok();
}

Result<Unit> ReadKeyUsage(const Extension& extension, LeafExtensions& out) {
  if (!extension.critical) return Malformed("certificate.extension-critical", "keyUsage");
  if (!Equal(extension.value, kKeyUsageDigitalSignature))
    return Malformed("certificate.usage", "keyUsage is not digitalSignature alone");
  out.key_usage = true;
  return Ok();
}

Result<Unit> ReadExtKeyUsage(const Extension& extension, LeafExtensions& out) {
  der::Reader outer(extension.value, "certificate.usage");
  SP_TRY(der::Reader purposes, outer.Enter(der::kSequence));
  SP_TRY(outer.End());
  SP_TRY(const ByteView first, purposes.Content(der::kOid));
  SP_TRY(const ByteView second, purposes.Content(der::kOid));
  SP_TRY(purposes.End());
  const bool client_first = Equal(first, kOidClientAuth) && Equal(second, kOidServerAuth);
  const bool server_first = Equal(first, kOidServerAuth) && Equal(second, kOidClientAuth);
  if (!client_first && !server_first)
    return Malformed("certificate.usage", "extKeyUsage is not clientAuth and serverAuth");
  out.ext_key_usage = true;
  return Ok();
}

Result<Unit> ReadIdentity(const Extension& extension, LeafExtensions& out) {
  if (extension.critical) return Malformed("certificate.extension-critical", "identity extension");
  SP_TRY(out.identity, ParseIdentityExtension(extension.value));
  return Ok();
}

Result<Unit> ReadLeafExtension(const Extension& extension, bool empty_subject,
                               LeafExtensions& out) {
  if (Equal(extension.oid, kOidBasicConstraints)) return ReadBasicConstraints(extension, out);
  if (Equal(extension.oid, kOidKeyUsage)) return ReadKeyUsage(extension, out);
  if (Equal(extension.oid, kOidExtKeyUsage)) return ReadExtKeyUsage(extension, out);
  if (Equal(extension.oid, kOidSubjectAltName))
    return ReadSubjectAltName(extension, empty_subject, out);
  if (Equal(extension.oid, kIdentityExtensionOid)) return ReadIdentity(extension, out);
  if (Equal(extension.oid, kOidAuthorityKeyId)) {
    SP_TRY(out.issuer_key_id, ReadAuthorityKeyId(extension.value));
    return Ok();
  }
  if (extension.critical)
    return Malformed("certificate.extension-critical", "unknown critical extension");
  return Ok();
}

Result<Unit> ReadLeafExtensions(const CertificateFields& fields, LeafExtensions& out) {
  constexpr size_t kEmptyNameSize = 2;
  for (const Extension& extension : fields.extensions)
    SP_TRY(ReadLeafExtension(extension, fields.subject.size() == kEmptyNameSize, out));
  if (!out.basic_constraints) return Malformed("certificate.ca", "no basicConstraints");
  if (!out.key_usage || !out.ext_key_usage)
    return Malformed("certificate.usage", "no keyUsage or extKeyUsage");
  if (!out.spiffe_id) return Malformed("certificate.san-uri", "no URI name");
  if (out.issuer_key_id.empty())
    return Malformed("certificate.key-id", "no authorityKeyIdentifier");
  return Ok();
}

}  // namespace

Result<IdentityCertificate> ParseIdentityCertificate(ByteView der) {
  SP_TRY(const CertificateFields fields, ReadCertificate(der));
  LeafExtensions extensions;
  SP_TRY(ReadLeafExtensions(fields, extensions));
  return IdentityCertificate{*std::move(extensions.spiffe_id),
                             ToBytes(fields.serial),
                             fields.not_before,
                             fields.not_after,
                             ToBytes(fields.spki),
                             extensions.identity,
                             ToBytes(extensions.issuer_key_id),
                             std::move(extensions.dns_names),
                             std::move(extensions.ip_addresses),
                             ToBytes(fields.issuer),
                             ToBytes(der),
                             RangeIn(der, fields.to_be_signed),
                             RangeIn(der, fields.signature)};
}

}  // namespace sallyport::pki
