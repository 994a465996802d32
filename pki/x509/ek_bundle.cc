#include "pki/x509/ek_bundle.h"

#include <openssl/err.h>

#include <algorithm>
#include <tuple>

#include "pki/x509/x509_native.h"

namespace sallyport::pki {
namespace {

constexpr int kStrengthMin = 112;  // bits: RSA-2048, P-256

// Vendors by what their names contain; the ids are the TCG's.
struct VendorName {
  std::string_view part;
  std::string_view id;
};
constexpr VendorName kVendors[] = {
    {"Infineon", "IFX"}, {"IFX", "IFX"},        {"STM", "STM"},     {"GlobalSign", "STM"},
    {"Nuvoton", "NTC"},  {"NPCT", "NTC"},       {"NTC", "NTC"},     {"Intel", "INTC"},
    {"OnDie", "INTC"},   {"CSME", "INTC"},      {"AMD", "AMD"},     {"Advanced Micro", "AMD"},
    {"Google", "GOOG"},  {"Microsoft", "MSFT"}, {"Azure", "MSFT"},  {"Nations", "NTZ"},
    {"NationZ", "NTZ"},  {"Nationz", "NTZ"},    {"Alibaba", "ALI"}, {"swtpm", "swtpm"},
};

struct Candidate {
  X509Ptr certificate;
  std::string vendor;
  std::string file;
};

std::string VendorOf(const std::string& folder, const std::string& subject) {
  if (!folder.empty()) return folder;
  for (const VendorName& vendor : kVendors)
    if (subject.find(vendor.part) != std::string::npos) return std::string(vendor.id);
  return "other";
}

std::string SubjectOf(const X509* certificate) {
  return NameText(X509_get_subject_name(certificate));
}

void ReadCertificates(const EkBundleFile& file, std::vector<Candidate>& out, EkBundle& report) {
  X509File read = ReadX509File(file.bytes);
  for (X509Ptr& certificate : read.certificates) {
    std::string vendor = VendorOf(file.vendor, SubjectOf(certificate.get()));
    out.push_back({std::move(certificate), std::move(vendor), file.name});
  }
  if (!read.fault.empty())
    report.refused.push_back({file.name, "", "bundle.certificate", std::move(read.fault)});
}

Result<Unit> CheckCa(X509* certificate) {
  const BasicConstraintsPtr constraints(static_cast<BASIC_CONSTRAINTS*>(
      X509_get_ext_d2i(certificate, NID_basic_constraints, nullptr, nullptr)));
  const bool signs = (X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) != 0;
  if (constraints != nullptr && constraints->ca != 0 && signs) return Unit{};
  return Error{Reason::kMismatch, signs ? "not a CA" : "may not sign certificates",
               "bundle.not-ca"};
}

Result<Unit> CheckTime(const X509* certificate, UnixTime now) {
  SP_TRY(const UnixTime from, TimeOf(X509_get0_notBefore(certificate), "bundle.certificate"));
  SP_TRY(const UnixTime until, TimeOf(X509_get0_notAfter(certificate), "bundle.certificate"));
  if (until < now) return Error{Reason::kExpired, FormatRfc3339(until), "bundle.expired"};
  if (now < from) return Error{Reason::kExpired, FormatRfc3339(from), "bundle.not-yet-valid"};
  return Unit{};
}

Result<Unit> CheckKey(const X509* certificate) {
  const EVP_PKEY* const key = X509_get0_pubkey(certificate);
  if (key != nullptr && EVP_PKEY_get_security_bits(key) >= kStrengthMin) return Unit{};
  return Error{Reason::kUnsupported, KeyNameOf(certificate), "bundle.weak-key"};
}

Result<Unit> CheckDigest(X509* certificate) {
  int bits = 0;
  if (SelfIssued(certificate)) return Unit{};  // an anchor is believed for its bytes
  if (X509_get_signature_info(certificate, nullptr, nullptr, &bits, nullptr) == 1 &&
      bits >= kStrengthMin)
    return Unit{};
  return Error{Reason::kUnsupported, "digest below SHA-256", "bundle.weak-signature"};
}

Result<Unit> CheckAlone(X509* certificate, UnixTime now) {
  SP_TRY(CheckCa(certificate));
  SP_TRY(CheckTime(certificate, now));
  SP_TRY(CheckKey(certificate));
  SP_TRY(CheckDigest(certificate));
  if (SelfIssued(certificate) && X509_verify(certificate, X509_get0_pubkey(certificate)) != 1)
    return Error{Reason::kBadSignature, "did not sign itself", "bundle.signature"};
  return Unit{};
}

bool IsIssuer(const Candidate& issuer, const Candidate& of) {
  return X509_NAME_cmp(X509_get_issuer_name(of.certificate.get()),
                       X509_get_subject_name(issuer.certificate.get())) == 0;
}

void Refuse(const Candidate& candidate, const Error& why, EkBundle& report) {
  report.refused.push_back(
      {candidate.file, SubjectOf(candidate.certificate.get()), why.name(), why.detail});
}

// Standing is whether a certificate hangs on another of the bundle.
enum class Standing : uint8_t { kAnchor, kIntermediate, kForged, kOrphan };

// StandingOf: who has no issuer in the bundle is an anchor, unless its issuer was refused.
Standing StandingOf(const Candidate& one, std::span<const Candidate> sound,
                    std::span<const Candidate> unsound) {
  if (SelfIssued(one.certificate.get())) return Standing::kAnchor;
  bool named = false;
  for (const Candidate& issuer : sound) {
    if (!IsIssuer(issuer, one)) continue;
    named = true;
    if (X509_verify(one.certificate.get(), X509_get0_pubkey(issuer.certificate.get())) == 1)
      return Standing::kIntermediate;
  }
  if (named) return Standing::kForged;
  const bool lost =
      std::ranges::any_of(unsound, [&](const Candidate& issuer) { return IsIssuer(issuer, one); });
  return lost ? Standing::kOrphan : Standing::kAnchor;
}

void Keep(const Candidate& one, bool anchor, EkBundle& report) {
  Bytes der = DerOf<i2d_X509>(one.certificate.get());
  if (std::ranges::find(report.certificates, der, &EkBundleEntry::der) != report.certificates.end())
    return;
  const Result<UnixTime> until =
      TimeOf(X509_get0_notAfter(one.certificate.get()), "bundle.certificate");
  SP_CHECK(until.has_value());  // CheckTime has read it
  report.certificates.push_back(
      {one.vendor, SubjectOf(one.certificate.get()), anchor, *until, std::move(der)});
}

void Place(const Candidate& one, Standing standing, EkBundle& report) {
  switch (standing) {
    case Standing::kAnchor: return Keep(one, true, report);
    case Standing::kIntermediate: return Keep(one, false, report);
    case Standing::kForged:
      return Refuse(one, {Reason::kBadSignature, "its issuer did not sign it", "bundle.signature"},
                    report);
    case Standing::kOrphan:
      return Refuse(one, {Reason::kUntrusted, "its issuer is refused", "bundle.orphan"}, report);
  }
}

void ScreenLists(const EkBundleFile& file, UnixTime now, EkBundle& report) {
  const Result<std::vector<EkCrl>> lists = EkCrl::FromFile(file.bytes);
  if (!lists.has_value())
    return report.refused.push_back({file.name, "", "bundle.list", lists.error().detail});
  for (const EkCrl& list : *lists) {
    const auto issuer =
        std::ranges::find(report.certificates, list.issuer(), &EkBundleEntry::subject);
    Result<UnixTime> next =
        Error{Reason::kUntrusted, "its issuer is not in the bundle", "bundle.list"};
    if (issuer != report.certificates.end()) next = CheckList(list, issuer->der, now);
    if (!next.has_value())
      report.refused.push_back({file.name, list.issuer(), "bundle.list", next.error().detail});
    else
      report.lists.push_back({issuer->vendor, list.issuer(), false, *next, list.ToDer()});
  }
}

}  // namespace

EkBundle ScreenEkBundle(std::span<const EkBundleFile> files, UnixTime now) {
  EkBundle report;
  std::vector<Candidate> read, sound, unsound;
  for (const EkBundleFile& file : files)
    if (!file.revocation_list) ReadCertificates(file, read, report);
  for (Candidate& candidate : read) {
    const Result<Unit> alone = CheckAlone(candidate.certificate.get(), now);
    if (!alone.has_value()) Refuse(candidate, alone.error(), report);
    (alone.has_value() ? sound : unsound).push_back(std::move(candidate));
  }
  for (const Candidate& one : sound) Place(one, StandingOf(one, sound, unsound), report);
  std::ranges::sort(report.certificates, {}, [](const EkBundleEntry& entry) {
    return std::tie(entry.vendor, entry.subject, entry.der);
  });
  for (const EkBundleFile& file : files)
    if (file.revocation_list) ScreenLists(file, now, report);
  ERR_clear_error();
  return report;
}

}  // namespace sallyport::pki
