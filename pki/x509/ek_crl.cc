#include "pki/x509/ek_crl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <optional>

#include "pki/x509/x509_native.h"

namespace sallyport::pki {

struct EkCrl::State {
  X509CrlPtr crl;
};

namespace {

using DistributionPoint = Owned<ISSUING_DIST_POINT, ISSUING_DIST_POINT_free>;
using DistributionPoints = Owned<CRL_DIST_POINTS, CRL_DIST_POINTS_free>;

constexpr std::string_view kCurrent = "crl.current";

Error Refuse(Reason reason, std::string detail, std::string_view rule) {
  return {reason, std::move(detail), rule};
}

// Subject is the certificate a list speaks of, with the issuer that must have signed the list.
struct Subject {
  X509* certificate;
  X509* issuer;
};

Result<Unit> CheckIssuer(X509* issuer) {
  // OpenSSL gives every bit when there is no keyUsage.
  if ((X509_get_key_usage(issuer) & KU_CRL_SIGN) != 0) return Unit{};
  return Refuse(Reason::kUntrusted, "its issuer may not sign lists", "crl.usage");
}

Result<Unit> CheckSignature(X509_CRL* crl, X509* issuer) {
  int digest = NID_undef;
  const bool known = OBJ_find_sigid_algs(X509_CRL_get_signature_nid(crl), &digest, nullptr) == 1;
  // RSASSA-PSS and EdDSA carry their digest elsewhere.
  const bool weak = !known || digest == NID_sha1 || digest == NID_md5 || digest == NID_md4 ||
                    digest == NID_md2 || digest == NID_ripemd160 || digest == NID_md5_sha1;
  if (weak) return Refuse(Reason::kBadSignature, "digest below SHA-256", "crl.signature");
  if (X509_CRL_verify(crl, X509_get0_pubkey(issuer)) != 1)
    return Refuse(Reason::kBadSignature, "not signed by its issuer", "crl.signature");
  return Unit{};
}

Result<Unit> CheckFreshness(const X509_CRL* crl, UnixTime now) {
  SP_TRY(const UnixTime made, TimeOf(X509_CRL_get0_lastUpdate(crl), "crl.der"));
  if (now < made) return Refuse(Reason::kExpired, FormatRfc3339(made), "crl.not-yet-valid");
  if (X509_CRL_get0_nextUpdate(crl) == nullptr)
    return Refuse(Reason::kExpired, "it does not say until when it holds", "crl.stale");
  SP_TRY(const UnixTime next, TimeOf(X509_CRL_get0_nextUpdate(crl), "crl.der"));
  if (next < now)
    return Refuse(Reason::kExpired, "the next one was due " + FormatRfc3339(next), "crl.stale");
  return Unit{};
}

Result<Unit> CheckCritical(const X509_CRL* crl) {
  for (int i = 0; i < X509_CRL_get_ext_count(crl); ++i) {
    X509_EXTENSION* const extension = X509_CRL_get_ext(crl, i);
    const ASN1_OBJECT* const oid = X509_EXTENSION_get_object(extension);
    const int nid = OBJ_obj2nid(oid);
    const bool known = nid == NID_issuing_distribution_point || nid == NID_crl_number ||
                       nid == NID_authority_key_identifier;
    if (nid == NID_delta_crl || (X509_EXTENSION_get_critical(extension) == 1 && !known))
      return Refuse(Reason::kUnsupported, OidText(oid), "crl.extension-critical");
  }
  return Unit{};
}

// CheckEntries: a critical extension of an entry changes what the list says (RFC 5280 5.3).
Result<Unit> CheckEntries(X509_CRL* crl) {
  const STACK_OF(X509_REVOKED)* const entries = X509_CRL_get_REVOKED(crl);
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    const X509_REVOKED* const entry = sk_X509_REVOKED_value(entries, i);
    for (int j = 0; j < X509_REVOKED_get_ext_count(entry); ++j) {
      X509_EXTENSION* const extension = X509_REVOKED_get_ext(entry, j);
      const ASN1_OBJECT* const oid = X509_EXTENSION_get_object(extension);
      if (X509_EXTENSION_get_critical(extension) == 1 && OBJ_obj2nid(oid) != NID_crl_reason)
        return Refuse(Reason::kUnsupported, "an entry with " + OidText(oid),
                      "crl.extension-critical");
    }
  }
  return Unit{};
}

bool SameFullName(const DIST_POINT_NAME* a, const DIST_POINT_NAME* b) {
  if (a == nullptr || b == nullptr || a->type != 0 || b->type != 0) return false;
  for (int i = 0; i < sk_GENERAL_NAME_num(a->name.fullname); ++i)
    for (int j = 0; j < sk_GENERAL_NAME_num(b->name.fullname); ++j)
      if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(a->name.fullname, i),
                           sk_GENERAL_NAME_value(b->name.fullname, j)) == 0)
        return true;
  return false;
}

bool NamesPoint(const X509* certificate, const DIST_POINT_NAME* point) {
  const DistributionPoints named(static_cast<CRL_DIST_POINTS*>(
      X509_get_ext_d2i(certificate, NID_crl_distribution_points, nullptr, nullptr)));
  for (int i = 0; named != nullptr && i < sk_DIST_POINT_num(named.get()); ++i)
    if (SameFullName(sk_DIST_POINT_value(named.get(), i)->distpoint, point)) return true;
  return false;
}

Result<Unit> CheckScope(const X509_CRL* crl, X509* certificate) {
  int critical = -1;
  const DistributionPoint point(static_cast<ISSUING_DIST_POINT*>(
      X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point, &critical, nullptr)));
  if (point == nullptr && critical == -1) return Unit{};
  const auto other = [](std::string detail) {
    return Refuse(Reason::kMismatch, std::move(detail), "crl.scope");
  };
  if (point == nullptr)
    return Refuse(Reason::kMalformed, "issuingDistributionPoint", "crl.extension-critical");
  if (point->indirectCRL > 0 || point->onlysomereasons != nullptr)
    return Refuse(Reason::kUnsupported, "indirect, or for some reasons only",
                  "crl.extension-critical");
  const bool ca = X509_check_ca(certificate) != 0;
  if (point->onlyattr > 0 || (point->onlyCA > 0 && !ca) || (point->onlyuser > 0 && ca))
    return other("for other kinds of certificates");
  if (point->distpoint != nullptr && !NamesPoint(certificate, point->distpoint))
    return other("of a distribution point that the certificate does not name");
  return Unit{};
}

Result<Unit> CheckListed(X509_CRL* crl, X509* certificate) {
  X509_REVOKED* entry = nullptr;
  if (X509_CRL_get0_by_serial(crl, &entry, X509_get_serialNumber(certificate)) == 0) return Unit{};
  return Refuse(Reason::kPolicyDenied, NameText(X509_get_subject_name(certificate)) + " is revoked",
                "crl.revoked");
}

Result<Unit> JudgeList(X509_CRL* crl, X509* issuer, UnixTime now) {
  SP_TRY(CheckIssuer(issuer));
  SP_TRY(CheckSignature(crl, issuer));
  SP_TRY(CheckFreshness(crl, now));
  SP_TRY(CheckCritical(crl));
  return CheckEntries(crl);
}

Result<Unit> Judge(X509_CRL* crl, const Subject& subject, UnixTime now) {
  SP_TRY(JudgeList(crl, subject.issuer, now));
  SP_TRY(CheckScope(crl, subject.certificate));
  return CheckListed(crl, subject.certificate);
}

X509CrlPtr DecodeDer(ByteView bytes) {
  const unsigned char* at = bytes.data();
  X509CrlPtr crl(d2i_X509_CRL(nullptr, &at, static_cast<long>(bytes.size())));
  if (crl != nullptr && at != bytes.data() + bytes.size()) crl.reset();
  ERR_clear_error();
  return crl;
}

}  // namespace

Result<std::vector<EkCrl>> EkCrl::FromFile(ByteView bytes) {
  if (bytes.size() > kCrlBytesMax) return Refuse(Reason::kTooLarge, "CRL file", "crl.size");
  const Error malformed =
      Refuse(Reason::kMalformed, "not a certificate revocation list", "crl.der");
  std::vector<EkCrl> out;
  const auto keep = [&out](X509CrlPtr crl) {
    out.push_back(EkCrl(std::make_shared<const State>(State{std::move(crl)})));
  };
  if (X509CrlPtr one = DecodeDer(bytes)) {
    keep(std::move(one));
    return out;
  }
  const BioPtr bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  while (X509CrlPtr one{PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)})
    keep(std::move(one));
  const unsigned long end = ERR_peek_last_error();
  ERR_clear_error();
  if (out.empty() || ERR_GET_REASON(end) != PEM_R_NO_START_LINE) return malformed;
  return out;
}

std::string EkCrl::issuer() const { return NameText(X509_CRL_get_issuer(state_->crl.get())); }

Bytes EkCrl::ToDer() const { return DerOf<i2d_X509_CRL>(state_->crl.get()); }

Result<UnixTime> CheckList(const EkCrl& crl, ByteView issuer, UnixTime now) {
  const X509Ptr certificate = DecodeX509(issuer);
  X509_CRL* const list = crl.state().crl.get();
  if (certificate == nullptr ||
      X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(certificate.get())) != 0)
    return Refuse(Reason::kUntrusted, "of another issuer", "crl.issuer");
  SP_TRY(JudgeList(list, certificate.get(), now));
  return TimeOf(X509_CRL_get0_nextUpdate(list), "crl.der");
}

std::vector<EkCheck> CheckRevocation(std::span<const Bytes> chain, std::span<const EkCrl> crls,
                                     UnixTime now) {
  if (crls.empty()) return {};
  std::vector<X509Ptr> certificates;
  for (const Bytes& der : chain) {
    certificates.push_back(DecodeX509(der));
    if (certificates.back() == nullptr)
      return {FailedCheck("crl.issuer", Reason::kMalformed, "the chain does not read")};
  }
  std::vector<EkCheck> out;
  for (const EkCrl& list : crls) {
    X509_CRL* const crl = list.state().crl.get();
    for (size_t i = 0; i + 1 < certificates.size(); ++i) {
      X509* const issuer = certificates[i + 1].get();
      if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) != 0) continue;
      EkCheck check = CheckOf(kCurrent, Judge(crl, {certificates[i].get(), issuer}, now));
      if (check.result == CheckResult::kPass) check.detail = list.issuer();
      out.push_back(std::move(check));
    }
  }
  if (out.empty())
    out.push_back(FailedCheck("crl.issuer", Reason::kUntrusted,
                              "no list is of an issuer of this chain: " + crls.front().issuer()));
  ERR_clear_error();
  return out;
}

}  // namespace sallyport::pki
