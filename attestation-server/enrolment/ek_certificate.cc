#include "attestation-server/enrolment/ek_certificate.h"

#include "pki/tpm/make_credential.h"

namespace sallyport::server {

namespace {
constexpr uint64_t kRootFileMax = 1 << 20;  // a vendor's whole bundle in PEM
}

Result<pki::EkRoots> LoadEkRoots(FileSystem& files, const std::string& directory) {
  SP_TRY(const std::vector<std::string> names, files.List(directory));
  std::vector<Bytes> contents;
  for (const std::string& name : names) {
    SP_TRY(Bytes bytes, ReadFile(files, directory + "/" + name, kRootFileMax));
    contents.push_back(std::move(bytes));
  }
  auto roots = pki::EkRoots::FromCertificates(contents);
  if (!roots.has_value()) return std::move(roots).error().WithContext(directory);
  return roots;
}

Result<ScreenedEk> ScreenEk(std::span<const Bytes> certificates, ByteView ek_public,
                            const Profiles& profiles, UnixTime now) {
  if (certificates.empty()) return Error{Reason::kMalformed, "no EK certificate", "ek.missing"};
  if (certificates.size() > pki::kEkChainMax)
    return Error{Reason::kTooLarge, "EK chain", "ek.chain-length"};
  SP_TRY(pki::EkCertificate certificate, pki::ParseEkCertificate(certificates.front()));
  SP_TRY(pki::PublicArea area, pki::EkPublicFromKey(certificate.key));
  if (!Equal(area.Marshal(), ek_public))
    return Error{Reason::kMismatch, "EK is not the key of its certificate in the known template",
                 "ek.key"};
  Bytes spki = certificate.key.spki();
  ScreenedEk out{std::move(certificate), std::move(area), std::move(spki), {}};
  Result<Unit> last = Error{Reason::kUntrusted, "no profile is configured", "ek.chain"};
  for (const auto& [name, profile] : profiles) {
    last = profile.roots.Verify(out.certificate, certificates.subspan(1), now);
    if (last.has_value()) out.profiles.push_back(name);
  }
  if (out.profiles.empty()) return std::move(last).error();
  return out;
}

}  // namespace sallyport::server
