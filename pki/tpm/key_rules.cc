#include "pki/tpm/key_rules.h"

namespace sallyport::pki {
namespace {

struct AttributeRule {
  std::string_view rule;
  uint32_t bit;
  bool wanted;
};

constexpr AttributeRule kAkAttributes[] = {
    {"ak.fixed-tpm", tpm::kFixedTpm, true},
    {"ak.fixed-parent", tpm::kFixedParent, true},
    {"ak.sensitive-data-origin", tpm::kSensitiveDataOrigin, true},
    {"ak.user-with-auth", tpm::kUserWithAuth, true},
    {"ak.restricted", tpm::kRestricted, true},
    {"ak.sign", tpm::kSign, true},
    {"ak.st-clear", tpm::kStClear, false},
    {"ak.encrypted-duplication", tpm::kEncryptedDuplication, false},
    {"ak.decrypt", tpm::kDecrypt, false},
};

constexpr AttributeRule kTlsAttributes[] = {
    {"tls.fixed-tpm", tpm::kFixedTpm, true},
    {"tls.fixed-parent", tpm::kFixedParent, true},
    {"tls.sensitive-data-origin", tpm::kSensitiveDataOrigin, true},
    {"tls.sign", tpm::kSign, true},
    {"tls.restricted", tpm::kRestricted, false},
    {"tls.encrypted-duplication", tpm::kEncryptedDuplication, false},
    {"tls.decrypt", tpm::kDecrypt, false},
};

class Checklist {
 public:
  void Require(std::string_view rule, bool passed, std::string_view why_not) {
    results_.push_back({rule, passed, passed ? std::string() : std::string(why_not)});
  }
  void Attributes(uint32_t attributes, std::span<const AttributeRule> rules) {
    for (const AttributeRule& rule : rules)
      Require(rule.rule, ((attributes & rule.bit) != 0) == rule.wanted,
              rule.wanted ? "attribute is clear" : "attribute is set");
  }
  std::vector<KeyRuleResult> Take() && { return std::move(results_); }

 private:
  std::vector<KeyRuleResult> results_;
};

bool OnCurve(const PublicArea& area, uint16_t curve) {
  const auto* ecc = std::get_if<EccUnique>(&area.unique);
  return ecc != nullptr && ecc->curve == curve;
}

}  // namespace

std::vector<KeyRuleResult> CheckAttestationKey(const PublicArea& area) {
  Checklist list;
  list.Attributes(area.attributes, kAkAttributes);
  list.Require("ak.scheme", area.scheme.has_value(), "no explicit scheme");
  list.Require("ak.symmetric", !area.symmetric_bits, "has a symmetric algorithm");
  list.Require("ak.key", area.ToPublicKey().has_value(), "not a key");
  return std::move(list).Take();
}

std::vector<KeyRuleResult> CheckTlsKey(const PublicArea& area) {
  Checklist list;
  list.Attributes(area.attributes, kTlsAttributes);
  list.Require("tls.scheme",
               area.scheme == KeyScheme{SignatureScheme::kEcdsa, HashAlgorithm::kSha256},
               "not ECDSA with SHA-256");
  list.Require("tls.symmetric", !area.symmetric_bits, "has a symmetric algorithm");
  list.Require("tls.key", OnCurve(area, tpm::kCurveP256) && area.ToPublicKey().has_value(),
               "not a P-256 key");
  list.Require("tls.authorisation", area.Has(tpm::kUserWithAuth) == area.auth_policy.empty(),
               "userWithAuth and the policy contradict each other");
  return std::move(list).Take();
}

Result<Unit> RequireAll(std::span<const KeyRuleResult> results) {
  for (const KeyRuleResult& result : results)
    if (!result.passed) return Error{Reason::kPolicyDenied, result.detail, result.rule};
  return Ok();
}

}  // namespace sallyport::pki
