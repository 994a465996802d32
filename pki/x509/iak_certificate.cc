#include "pki/x509/iak_certificate.h"

#include <openssl/err.h>

#include <algorithm>

#include "pki/x509/der.h"
#include "pki/x509/tpm_certificate_rules.h"
#include "pki/x509/x509_native.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kIakUsage = "2.23.133.8.3";
constexpr std::string_view kHardwareModuleName = "1.3.6.1.5.5.7.8.4";
// tcg-cap-verifiedTPMResidency, tcg-cap-verifiedTPMFixed, tcg-cap-verifiedTPMRestricted.
constexpr std::string_view kVerifiedInTpm[] = {"2.23.133.11.1.1", "2.23.133.11.1.2",
                                               "2.23.133.11.1.3"};
using Policies = Owned<CERTIFICATEPOLICIES, CERTIFICATEPOLICIES_free>;

Error BadSerial(std::string detail) {
  return {Reason::kMalformed, std::move(detail), "iak.serial"};
}

// SetSerial keeps the one serial number that every place must agree on.
Result<Unit> SetSerial(std::string found, std::string& out) {
  if (found.empty() || found.size() > kHardwareSerialMax) return BadSerial("empty or too long");
  if (std::ranges::any_of(found, [](unsigned char c) { return c <= 0x20 || c >= 0x7F; }))
    return BadSerial("not printable");
  if (!out.empty() && out != found) return BadSerial("two that differ");
  out = std::move(found);
  return Unit{};
}

// RFC 4108: HardwareModuleName ::= SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING }.
Result<Unit> ReadHardwareName(const ASN1_TYPE* value, std::string& out) {
  if (value->type != V_ASN1_SEQUENCE) return BadSerial("hardwareModuleName");
  const ByteView bytes(value->value.sequence->data,
                       static_cast<size_t>(value->value.sequence->length));
  der::Reader outer(bytes, "iak.serial");
  SP_TRY(der::Reader fields, outer.Enter(der::kSequence));
  SP_TRY(fields.Content(der::kOid));
  SP_TRY(const ByteView serial, fields.Content(der::kOctetString));
  SP_TRY(fields.End());
  SP_TRY(outer.End());
  return SetSerial(ToString(serial), out);
}

Result<Unit> ReadNames(const X509* certificate, std::string& out) {
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_OTHERNAME && OidText(name->d.otherName->type_id) == kHardwareModuleName)
      SP_TRY(ReadHardwareName(name->d.otherName->value, out));
  }
  return Unit{};
}

Result<Unit> ReadSubject(const X509* certificate, std::string& out) {
  X509_NAME* const subject = X509_get_subject_name(certificate);
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_serialNumber, at)) >= 0;) {
    const X509_NAME_ENTRY* const entry = X509_NAME_get_entry(subject, at);
    SP_TRY(SetSerial(AsnText(X509_NAME_ENTRY_get_data(entry), kHardwareSerialMax + 1), out));
  }
  return Unit{};
}

Result<Unit> CheckKey(const IakCertificate& iak) {
  if (iak.certificate.key.has_value()) return Unit{};
  return Error{Reason::kUnsupported, "key of type " + iak.certificate.key_name, "iak.key"};
}

Result<Unit> CheckSerial(const IakCertificate& iak) {
  if (!iak.serial.empty()) return Unit{};
  return Error{Reason::kMismatch, "no serial number of the machine", "iak.serial"};
}

EkCheck CheckPolicy(const X509* certificate) {
  const Policies policies(static_cast<CERTIFICATEPOLICIES*>(
      X509_get_ext_d2i(certificate, NID_certificate_policies, nullptr, nullptr)));
  for (int i = 0; policies != nullptr && i < sk_POLICYINFO_num(policies.get()); ++i) {
    const std::string oid = OidText(sk_POLICYINFO_value(policies.get(), i)->policyid);
    if (std::ranges::find(kVerifiedInTpm, oid) != std::end(kVerifiedInTpm))
      return PassedCheck("iak.policy", oid);
  }
  return WarnedCheck("iak.policy", "the CA does not say that it saw the key in a TPM");
}

EkCheck DerCheck(const IakCertificate& iak) {
  if (iak.certificate.deviation.empty()) return PassedCheck("iak.der");
  return WarnedCheck("iak.der-lenient", "not strict DER: " + iak.certificate.deviation);
}

}  // namespace

Result<IakCertificate> ReadIakCertificate(ByteView bytes) {
  SP_TRY(EkCertificate certificate, ReadEkCertificate(bytes));
  X509* const x509 = certificate.decoded.get();
  std::string serial;
  SP_TRY(ReadNames(x509, serial));
  SP_TRY(ReadSubject(x509, serial));
  ERR_clear_error();
  return IakCertificate{std::move(certificate), std::move(serial)};
}

std::vector<EkCheck> CheckIakProfile(const IakCertificate& iak) {
  X509* const x509 = iak.certificate.decoded.get();
  std::vector<EkCheck> out{
      DerCheck(iak),
      CheckOf("iak.version", RequireVersion3(x509, "iak.version")),
      CheckOf("iak.key", CheckKey(iak)),
      CheckRoca(x509, "iak.key-roca"),
      CheckOf("iak.key-usage", RequireKeyUsage(x509, kDigitalSignatureBit, "iak.key-usage")),
      CheckOf("iak.extended-key-usage",
              RequireExtendedKeyUsage(x509, kIakUsage, false, "iak.extended-key-usage")),
      CheckOf("iak.ca", RequireNoCa(x509, "iak.ca")),
      CheckOf("iak.serial", CheckSerial(iak)),
      CheckOf("iak.extension-twice", RequireNoneTwice(x509, "iak.extension-twice")),
      CheckOf("iak.extension-critical", RequireCriticalKnown(x509, "iak.extension-critical")),
      CheckPolicy(x509)};
  ERR_clear_error();
  return out;
}

}  // namespace sallyport::pki
