#include "attestation-server/enrolment/ek_certificate.h"

#include <algorithm>

#include "pki/tpm/make_credential.h"

namespace sallyport::server {

namespace {

Result<pki::PublicArea> AreaOf(const pki::EkCertificate& certificate, ByteView ek_public) {
  if (!certificate.key.has_value())
    return Error{Reason::kUnsupported, "no template for " + certificate.key_name, "ek.key-type"};
  return pki::MatchEkTemplate(*certificate.key, ek_public);
}

std::vector<pki::EkCheck> JudgeFor(const Profile& profile, const pki::EkCertificate& certificate,
                                   std::span<const Bytes> intermediates, UnixTime now) {
  std::vector<pki::EkCheck> checks = pki::CheckEkProfile(certificate, profile.accepted_advisories);
  std::vector<pki::EkCheck> chain = profile.roots.Judge(certificate, intermediates, now).checks;
  std::ranges::move(chain, std::back_inserter(checks));
  return checks;
}

}  // namespace

Result<ScreenedEk> ScreenEk(std::span<const Bytes> certificates, ByteView ek_public,
                            const Profiles& profiles, UnixTime now) {
  if (certificates.empty()) return Error{Reason::kMalformed, "no EK certificate", "ek.missing"};
  if (certificates.size() > pki::kEkChainMax)
    return Error{Reason::kTooLarge, "EK chain", "ek.chain-length"};
  if (certificates.front().size() > pki::kEkCertificateBytesMax)
    return Error{Reason::kTooLarge, "EK certificate", "ek.size"};
  SP_TRY(pki::EkCertificate certificate, pki::ReadEkCertificate(certificates.front()));
  SP_TRY(pki::PublicArea area, AreaOf(certificate, ek_public));
  Bytes spki = certificate.key->spki();
  ScreenedEk out{std::move(certificate), std::move(area), std::move(spki), {}, {}};
  Result<Unit> last = Error{Reason::kUntrusted, "no profile is configured", "ek.chain"};
  for (const auto& [name, profile] : profiles) {
    const std::vector<pki::EkCheck> checks =
        JudgeFor(profile, out.certificate, certificates.subspan(1), now);
    last = pki::RequireAll(checks);
    if (!last.has_value()) continue;
    out.profiles.push_back(name);
    pki::KeepWarnings(checks, out.warnings);
  }
  if (out.profiles.empty()) return std::move(last).error();
  return out;
}

}  // namespace sallyport::server
