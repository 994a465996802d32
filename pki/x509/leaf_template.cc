#include "pki/x509/leaf_template.h"

#include "pki/x509/profile.h"

namespace sallyport::pki {
namespace {

constexpr size_t kSerialSize = 16;

// The extensions that every leaf under `issuer` has alike.
Bytes EncodeFixedExtensions(const IssuerCertificate& issuer) {
  constexpr uint8_t kNoCa[] = {0x30, 0x00};
  const Bytes purposes = der::Encode(der::kSequence, {der::Encode(der::kOid, {kOidClientAuth}),
                                                      der::Encode(der::kOid, {kOidServerAuth})});
  Bytes out = EncodeExtension(kOidBasicConstraints, true, kNoCa);
  Append(out, EncodeExtension(kOidKeyUsage, true, kKeyUsageDigitalSignature));
  Append(out, EncodeExtension(kOidExtKeyUsage, false, purposes));
  Append(out, EncodeAuthorityKeyId(issuer.key_id));
  return out;
}

Bytes EncodeUriName(const SpiffeId& id) { return der::Encode(kNameUri, {AsBytes(id.text())}); }

Result<Bytes> EncodeHostNames(const HostNames& hosts) {
  if (hosts.dns_names.size() + hosts.ip_addresses.size() > kServerNamesMax)
    return Error{Reason::kInvalidArgument, "too many names for one server", "leaf.hosts"};
  Bytes out;
  for (const std::string& name : hosts.dns_names) {
    if (!IsHostName(name))
      return Error{Reason::kInvalidArgument, "not a host name: " + name, "leaf.hosts"};
    Append(out, der::Encode(kNameDns, {AsBytes(name)}));
  }
  for (const Bytes& address : hosts.ip_addresses) {
    if (address.size() != 4 && address.size() != 16)
      return Error{Reason::kInvalidArgument, "an address has 4 or 16 bytes", "leaf.hosts"};
    Append(out, der::Encode(kNameIp, {address}));
  }
  return out;
}

// CutToIssuer keeps a leaf within its issuer's life, in whole seconds.
Result<LeafValidity> CutToIssuer(LeafValidity asked, const IssuerCertificate& issuer) {
  const UnixTime not_before =
      std::max(UnixTime::FromSeconds(asked.not_before.seconds()), issuer.not_before);
  const UnixTime not_after =
      std::min(UnixTime::FromSeconds(asked.not_after.seconds()), issuer.not_after);
  if (not_after <= not_before)
    return Error{Reason::kInvalidArgument, "nothing is left of the leaf's validity",
                 "leaf.validity"};
  return LeafValidity{not_before, not_after};
}

Bytes DrawSerial(Random& random) {
  std::array<uint8_t, kSerialSize> serial;
  random.Fill(serial);
  const auto first = std::ranges::find_if(serial, [](uint8_t byte) { return byte != 0; });
  SP_CHECK(first != serial.end());
  return {first, serial.end()};
}

}  // namespace

LeafTemplate::LeafTemplate(IssuerCertificate issuer, PrivateKey key, TrustDomain trust_domain)
    : issuer_(std::move(issuer)),
      key_(std::move(key)),
      trust_domain_(std::move(trust_domain)),
      algorithm_and_issuer_(ToBytes(ByteView(kEcdsaSha256))),
      fixed_extensions_(EncodeFixedExtensions(issuer_)) {
  Append(algorithm_and_issuer_, issuer_.subject);
}

Result<LeafTemplate> LeafTemplate::Make(IssuerCertificate issuer, PrivateKey key,
                                        TrustDomain trust_domain) {
  if (issuer.key.spki() != key.public_key().spki())
    return Error{Reason::kMismatch, "key does not belong to the issuer certificate",
                 "leaf.issuer-key"};
  return LeafTemplate(std::move(issuer), std::move(key), std::move(trust_domain));
}

Result<IssuedLeaf> LeafTemplate::Issue(ByteView san_names, ByteView spki,
                                       ByteView identity_extension, LeafValidity validity,
                                       Random& random) const {
  constexpr uint8_t kVersion3[] = {0xA0, 0x03, 0x02, 0x01, 0x02};
  constexpr uint8_t kNoSubject[] = {0x30, 0x00};
  if (!IsP256Spki(spki)) return Error{Reason::kUnsupported, "leaf keys are P-256", "leaf.key"};
  SP_TRY(const LeafValidity cut, CutToIssuer(validity, issuer_));
  Bytes serial = DrawSerial(random);
  const Bytes dates = der::Encode(
      der::kSequence, {der::EncodeTime(cut.not_before), der::EncodeTime(cut.not_after)});
  const Bytes extensions = der::Encode(
      der::kSequence,
      {fixed_extensions_, EncodeSubjectKeyId(KeyIdOf(spki)),
       EncodeExtension(kOidSubjectAltName, true, der::Encode(der::kSequence, {san_names})),
       identity_extension});
  const Bytes to_be_signed = der::Encode(
      der::kSequence, {kVersion3, der::EncodeUnsignedBytes(serial), algorithm_and_issuer_, dates,
                       kNoSubject, spki, der::Encode(der::Context(3), {extensions})});
  SP_TRY(const Bytes signature, key_.Sign(to_be_signed));
  return IssuedLeaf{
      der::Encode(der::kSequence, {to_be_signed, kEcdsaSha256, der::EncodeBitString(signature)}),
      std::move(serial), cut.not_before, cut.not_after};
}

Result<IssuedLeaf> LeafTemplate::IssueDevice(const DeviceId& device, ByteView spki,
                                             const IdentityExtension& extension,
                                             LeafValidity validity, Random& random) const {
  const Bytes identity =
      EncodeExtension(kIdentityExtensionOid, false, EncodeIdentityExtension(extension));
  return Issue(EncodeUriName(DeviceSpiffeId(trust_domain_, device)), spki, identity, validity,
               random);
}

Result<IssuedLeaf> LeafTemplate::IssueServer(std::string_view name, const HostNames& hosts,
                                             ByteView spki, LeafValidity validity,
                                             Random& random) const {
  SP_TRY(const SpiffeId id, ServerSpiffeId(trust_domain_, name));
  SP_TRY(const Bytes host_names, EncodeHostNames(hosts));
  Bytes names = EncodeUriName(id);
  Append(names, host_names);
  return Issue(names, spki, {}, validity, random);
}

Result<IssuedLeaf> LeafTemplate::IssueOperator(std::string_view name, ByteView spki,
                                               LeafValidity validity, Random& random) const {
  SP_TRY(const SpiffeId id, OperatorSpiffeId(trust_domain_, name));
  return Issue(EncodeUriName(id), spki, {}, validity, random);
}

}  // namespace sallyport::pki
