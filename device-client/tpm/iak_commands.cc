// The maker's word on this TPM: IAK certificates in NV and the key they are of.
#include <algorithm>

#include "device-client/tpm/commands.h"
#include "device-client/tpm/ek_certificate.h"
#include "pki/tpm/key_rules.h"
#include "pki/tpm/transcript.h"
#include "pki/x509/iak_certificate.h"

namespace sallyport::device {
namespace {

// TCG TPM 2.0 Keys for Device Identity and Attestation 1.0, section 7.3 and the registry of
// reserved handles: certificates of IDevIDs and IAKs, and the keys themselves. Which is which is in
// the certificates, not in the numbers.
constexpr uint32_t kCertificatesFirst = 0x01C90000;
constexpr uint32_t kCertificatesLast = 0x01C901FF;
constexpr uint32_t kKeysFirst = 0x81020000;
constexpr uint32_t kKeysLast = 0x810200FF;
// The rule that tells an IAK certificate from an IDevID's, and from those of issuers.
constexpr std::string_view kIakRule = "iak.extended-key-usage";

bool IsIakCertificate(const pki::IakCertificate& certificate) {
  const std::vector<pki::EkCheck> checks = pki::CheckIakProfile(certificate);
  return std::ranges::any_of(checks, [](const pki::EkCheck& check) {
    return check.rule == kIakRule && check.result == pki::CheckResult::kPass;
  });
}

// ChainOf puts the certificate of `spki` in front of all that are no leaf of a key in this TPM.
std::optional<std::vector<Bytes>> ChainOf(const std::vector<Bytes>& certificates, ByteView spki) {
  std::vector<Bytes> chain;
  std::optional<Bytes> leaf;
  for (const Bytes& der : certificates) {
    const Result<pki::IakCertificate> read = pki::ReadIakCertificate(der);
    const bool iak = read && IsIakCertificate(*read);
    if (iak && read->certificate.key && Equal(read->certificate.key->spki(), spki)) leaf = der;
    if (!iak) chain.push_back(der);
  }
  if (!leaf) return std::nullopt;
  chain.insert(chain.begin(), *std::move(leaf));
  return chain;
}

}  // namespace

Result<std::vector<Bytes>> TpmCommands::ReadMakerCertificates() {
  std::vector<Bytes> out;
  SP_TRY(const std::vector<uint32_t> indices, Handles(kCertificatesFirst));
  for (const uint32_t index : indices) {
    if (index > kCertificatesLast) break;
    SP_TRY(const Bytes nv, ReadNv(index));
    const Result<std::vector<Bytes>> certificates = TakeCertificates(nv);
    if (certificates) out.insert(out.end(), certificates->begin(), certificates->end());
  }
  return out;
}

Result<IakVoucher> TpmCommands::VouchByIak(std::string_view trust_domain, ByteView ek_public) {
  SP_TRY(const ESYS_TR ak, AttestationKey());
  SP_TRY(const Bytes ak_public, PublicOf(ak, pki::tpm::kEndorsement));
  SP_TRY(const pki::PublicArea ak_area, pki::ParsePublicArea(ak_public));
  SP_TRY(const std::vector<Bytes> certificates, ReadMakerCertificates());
  SP_TRY(const std::vector<uint32_t> handles, Handles(kKeysFirst));
  for (const uint32_t handle : handles) {
    if (handle > kKeysLast) break;
    SP_TRY(const std::optional<ESYS_TR> key, FindPersistent(handle));
    const Result<Bytes> wire = key ? PublicOf(*key, pki::tpm::kEndorsement)
                                   : Result<Bytes>(Error{Reason::kNotFound, "gone", "iak.missing"});
    if (!wire) continue;  // of another hierarchy, or of an algorithm that nobody verifies
    SP_TRY(const pki::PublicArea area, pki::ParsePublicArea(*wire));
    const Result<pki::PublicKey> public_key = area.ToPublicKey();
    if (!public_key || !pki::RequireAll(pki::CheckAttestationKey(area))) continue;
    std::optional<std::vector<Bytes>> chain = ChainOf(certificates, public_key->spki());
    if (!chain) continue;
    const Sha256Digest qualifying =
        pki::IakQualifyingData(trust_domain, pki::ObjectName(ak_area), ek_public);
    SP_TRY(TpmAttestation certified, CertifyWith(ak, *key, qualifying.view()));
    return IakVoucher{*std::move(chain), *wire, std::move(certified)};
  }
  return Error{Reason::kNotFound, "no key of this TPM has an IAK certificate", "iak.missing"};
}

}  // namespace sallyport::device
