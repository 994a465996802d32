#include "attestation-server/enrolment/iak_evidence.h"

#include <algorithm>

#include "attestation-server/evidence/quote.h"
#include "pki/crypto/hash.h"
#include "pki/crypto/secret.h"
#include "pki/tpm/key_rules.h"
#include "pki/tpm/name.h"
#include "pki/tpm/transcript.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kSerialLabel{"sallyport/serial/v1\0", 20};
constexpr AttestRules kAttestRules{"iak.size",  "iak.scheme", "iak.signature",
                                   "iak.magic", "iak.type",   "iak.structure"};
constexpr std::string_view kCertifyRules[] = {"iak.size",  "iak.scheme",    "iak.signature",
                                              "iak.magic", "iak.type",      "iak.structure",
                                              "iak.name",  "iak.extra-data"};

Result<AttestationKey> KeyOf(const IakClaim& claim, const pki::IakCertificate& certificate) {
  SP_TRY(const pki::PublicArea area, pki::ParsePublicArea(claim.iak_public));
  SP_TRY(pki::RequireAll(pki::CheckAttestationKey(area)));
  SP_TRY(AttestationKey key, AttestationKey::FromArea(area));
  if (!certificate.certificate.key.has_value() ||
      key.key().spki() != certificate.certificate.key->spki())
    return Error{Reason::kMismatch, "the IAK is not the key of its certificate", "iak.key-match"};
  return key;
}

// CheckCertify: the IAK signed that the AK is in its TPM.
Result<Unit> CheckCertify(const AttestationKey& iak, const IakClaim& claim, const Bytes& ak_name,
                          const Sha256Digest& expected) {
  CheckList checks{std::span<const std::string_view>(kCertifyRules)};
  const auto refusal = [&checks] {
    const Check* const failed = checks.FirstFailure();
    return Error{Reason::kBadSignature, failed != nullptr ? failed->detail : "not run",
                 failed != nullptr ? failed->rule : "iak.signature"};
  };
  const std::optional<SignedAttest> verified = CheckAttestSignature(
      iak, claim.attest, claim.signature, pki::tpm::AttestType::kCertify, kAttestRules, checks);
  if (!verified.has_value()) return refusal();
  checks.Require("iak.name", verified->attest.certify()->name == ak_name,
                 "the IAK certified another key");
  checks.Require("iak.extra-data",
                 pki::ConstantTimeEqual(verified->attest.extra_data, expected.view()),
                 "certified for another server, AK or EK");
  if (!checks.AllPassed()) return refusal();
  return Unit{};
}

std::vector<pki::EkCheck> JudgeFor(const pki::EkRoots& roots, const pki::IakCertificate& iak,
                                   std::span<const Bytes> intermediates, UnixTime now) {
  std::vector<pki::EkCheck> checks = pki::CheckIakProfile(iak);
  std::vector<pki::EkCheck> chain = roots.Judge(iak.certificate, intermediates, now).checks;
  std::ranges::move(chain, std::back_inserter(checks));
  return checks;
}

Result<ScreenedIak> ScreenChain(std::span<const Bytes> chain, const Profiles& profiles,
                                UnixTime now) {
  if (chain.empty()) return Error{Reason::kMalformed, "no IAK certificate", "iak.missing"};
  SP_TRY(pki::IakCertificate certificate, pki::ReadIakCertificate(chain.front()));
  ScreenedIak out{std::move(certificate), {}, {}};
  Result<Unit> last = Error{Reason::kUntrusted, "no profile has roots for IAKs", "iak.profile"};
  for (const auto& [name, profile] : profiles) {
    if (!profile.iak_roots.has_value()) continue;
    const std::vector<pki::EkCheck> checks =
        JudgeFor(*profile.iak_roots, out.certificate, chain.subspan(1), now);
    last = pki::RequireAll(checks);
    if (!last.has_value()) continue;
    out.profiles.push_back(name);
    pki::KeepWarnings(checks, out.warnings);
  }
  if (out.profiles.empty()) return std::move(last).error();
  return out;
}

}  // namespace

Sha256Digest SerialListingKey(std::string_view serial) {
  return pki::Sha256({AsBytes(kSerialLabel), AsBytes(serial)});
}

Result<ScreenedIak> ScreenIak(const IakClaim& claim, ByteView ak_public, ByteView ek_public,
                              std::string_view trust_domain, const Profiles& profiles,
                              UnixTime now) {
  SP_TRY(ScreenedIak out, ScreenChain(claim.chain, profiles, now));
  SP_TRY(const AttestationKey iak, KeyOf(claim, out.certificate));
  if (Equal(claim.iak_public, ak_public)) return out;
  SP_TRY(const pki::PublicArea ak, pki::ParsePublicArea(ak_public));
  const Bytes ak_name = pki::ObjectName(ak);
  SP_TRY(
      CheckCertify(iak, claim, ak_name, pki::IakQualifyingData(trust_domain, ak_name, ek_public)));
  return out;
}

}  // namespace sallyport::server
