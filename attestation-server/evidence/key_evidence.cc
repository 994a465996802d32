#include "attestation-server/evidence/key_evidence.h"

#include "pki/tpm/creation_data.h"
#include "pki/tpm/key_rules.h"
#include "pki/tpm/name.h"

namespace sallyport::server {
namespace {

constexpr AttestRules kKeyAttestRules{"key.size",  "key.scheme", "key.signature",
                                      "key.magic", "key.type",   "key.structure"};
// The middle is pki::CheckTlsKey's, in its order; the last two are for a creation only.
constexpr std::string_view kRules[] = {"key.public",
                                       "tls.fixed-tpm",
                                       "tls.fixed-parent",
                                       "tls.sensitive-data-origin",
                                       "tls.sign",
                                       "tls.restricted",
                                       "tls.encrypted-duplication",
                                       "tls.decrypt",
                                       "tls.scheme",
                                       "tls.symmetric",
                                       "tls.key",
                                       "tls.authorisation",
                                       "key.csr",
                                       "key.size",
                                       "key.scheme",
                                       "key.signature",
                                       "key.magic",
                                       "key.type",
                                       "key.structure",
                                       "key.qualified-signer",
                                       "key.extra-data",
                                       "key.name",
                                       "key.creation-hash",
                                       "key.outside-info"};
constexpr size_t kCreationOnly = 2;
constexpr size_t kP256SpkiSize =
    91;  // the one DER SubjectPublicKeyInfo of P-256: a fixed head, then x and y

}  // namespace

std::span<const std::string_view> KeyRules(KeyCertification certification) {
  const std::span<const std::string_view> all(kRules);
  return certification == KeyCertification::kCreation ? all : all.first(all.size() - kCreationOnly);
}

class KeyChecker {
 public:
  KeyChecker(const AttestationKey& ak, const KeyInput& input, const KeyExpectation& expected,
             CheckList& checks)
      : ak_(ak), input_(input), expected_(expected), checks_(checks) {}

  std::optional<ProvenTlsKey> Run() {
    const Result<pki::PublicArea> area = pki::ParsePublicArea(input_.tls_public);
    if (!checks_.Take("key.public", area)) return std::nullopt;
    const bool rules = CheckRules(*area);
    const bool same_key = CheckRequest(*area);
    const bool creation = input_.certification == KeyCertification::kCreation;
    const std::optional<SignedAttest> verified = CheckAttestSignature(
        ak_, input_.attest, input_.signature,
        creation ? pki::tpm::AttestType::kCreation : pki::tpm::AttestType::kCertify,
        kKeyAttestRules, checks_);
    if (!verified) return std::nullopt;
    const bool signer =
        CheckSigner(ak_, expected_.ak_parent, verified->attest, "key.qualified-signer", checks_);
    const bool fresh = checks_.Require(
        "key.extra-data",
        pki::ConstantTimeEqual(verified->attest.extra_data, expected_.qualifying_data),
        "does not answer this challenge");
    const Bytes name = pki::ObjectName(*area);
    const std::optional<bool> null_hierarchy =
        creation ? CheckCreation(*verified->attest.creation(), name, *area)
                 : CheckCertify(*verified->attest.certify(), name, *area);
    if (!rules || !same_key || !signer || !fresh || !null_hierarchy) return std::nullopt;
    return ProvenTlsKey(name, *area, ToBytes(input_.csr_spki), *null_hierarchy);
  }

 private:
  bool CheckRules(const pki::PublicArea& area) {
    bool good = true;
    for (const pki::KeyRuleResult& result : pki::CheckTlsKey(area))
      good &= checks_.Require(result.rule, result.passed, result.detail);
    return good;
  }

  bool CheckRequest(const pki::PublicArea& area) {
    // The request's key was imported when its signature was verified, so equal points are on the
    // curve too.
    const auto* const point = std::get_if<pki::EccUnique>(&area.unique);
    const bool same = point != nullptr && point->curve == pki::tpm::kCurveP256 &&
                      input_.csr_spki.size() == kP256SpkiSize &&
                      Equal(input_.csr_spki.last(64).first(32), point->x) &&
                      Equal(input_.csr_spki.last(32), point->y);
    return checks_.Require("key.csr", same, "the request names another key");
  }

  bool CheckName(const Bytes& attested, const Bytes& name) {
    return checks_.Require("key.name", attested == name, "the ak certified another key");
  }

  // Both return whether the key is a primary of the null hierarchy, or nothing when a rule failed.
  std::optional<bool> CheckCreation(const pki::CreationBody& body, const Bytes& name,
                                    const pki::PublicArea& area) {
    const bool named = CheckName(body.object_name, name);
    const Result<pki::CreationData> data = pki::ParseCreationData(input_.creation_data);
    const bool bound =
        data && pki::CreationHash(area.name_alg, input_.creation_data) == body.creation_hash;
    if (!checks_.Require("key.creation-hash", bound,
                         data ? "other creation data" : data.error().ToString()))
      return std::nullopt;
    const bool fresh = checks_.Require("key.outside-info",
                                       pki::ConstantTimeEqual(data->outside_info, expected_.nonce),
                                       "not made for this challenge");
    if (!named || !fresh) return std::nullopt;
    return data->PrimaryOf(pki::tpm::kNullHierarchy);
  }

  std::optional<bool> CheckCertify(const pki::CertifyBody& body, const Bytes& name,
                                   const pki::PublicArea& area) {
    if (!CheckName(body.name, name)) return std::nullopt;
    return body.qualified_name ==
           pki::PrimaryQualifiedName(area.name_alg, pki::tpm::kNullHierarchy, name);
  }

  const AttestationKey& ak_;
  const KeyInput& input_;
  const KeyExpectation& expected_;
  CheckList& checks_;
};

std::optional<ProvenTlsKey> CheckKey(const AttestationKey& ak, const KeyInput& input,
                                     const KeyExpectation& expected, CheckList& checks) {
  return KeyChecker(ak, input, expected, checks).Run();
}

}  // namespace sallyport::server
