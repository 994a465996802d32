#include "attestation-server/evidence/null_name.h"

#include "pki/tpm/name.h"

namespace sallyport::server {
namespace {

constexpr AttestRules kAttestRules{"null-name.size",  "null-name.scheme", "null-name.signature",
                                   "null-name.magic", "null-name.type",   "null-name.structure"};
constexpr std::string_view kOffered[] = {"null-name.offered"};
constexpr std::string_view kRules[] = {"null-name.size",
                                       "null-name.scheme",
                                       "null-name.signature",
                                       "null-name.magic",
                                       "null-name.type",
                                       "null-name.structure",
                                       "null-name.qualified-signer",
                                       "null-name.extra-data",
                                       "null-name.boot",
                                       "null-name.hierarchy",
                                       "null-name.kernel"};
// The kernel's template is fixed: ECC P-256, SHA-256 (drivers/char/tpm/tpm2-sessions.c).
constexpr pki::HashAlgorithm kKernelNameAlg = pki::HashAlgorithm::kSha256;

}  // namespace

NullNameState CheckNullName(const AttestationKey& ak, const std::optional<NullNameInput>& input,
                            bool required, const QuoteExpectation& policy,
                            const AuthenticatedQuote& quote, CheckList& checks) {
  checks.Add(kOffered);
  if (!input) {
    const std::string_view why = "not offered: a reset of the tpm shows in its counts alone";
    required ? checks.Fail("null-name.offered", std::string(why))
             : checks.Pass("null-name.offered", std::string(why));
    return NullNameState::kNotOffered;
  }
  checks.Pass("null-name.offered");
  checks.Add(kRules);
  const std::optional<SignedAttest> verified = CheckAttestSignature(
      ak, input->attest, input->signature, pki::tpm::AttestType::kCertify, kAttestRules, checks);
  if (!verified) return NullNameState::kUnknown;
  const pki::Attest& attest = verified->attest;
  const pki::CertifyBody& body = *attest.certify();
  bool good = CheckSigner(ak, policy.ak_parent, attest, "null-name.qualified-signer", checks);
  good &= checks.Require("null-name.extra-data",
                         pki::ConstantTimeEqual(attest.extra_data, policy.extra_data),
                         "does not answer this challenge");
  good &= checks.Require("null-name.boot",
                         attest.clock.reset_count == quote.clock.reset_count &&
                             attest.clock.restart_count == quote.clock.restart_count,
                         "the tpm was reset after the quote");
  good &= checks.Require(
      "null-name.hierarchy",
      body.qualified_name ==
          pki::PrimaryQualifiedName(kKernelNameAlg, pki::tpm::kNullHierarchy, body.name),
      "not a primary key of the null hierarchy");
  good &= checks.Require("null-name.kernel", Equal(body.name, input->kernel_name),
                         "the tpm was reset after the kernel started");
  return good ? NullNameState::kCertified : NullNameState::kUnknown;
}

}  // namespace sallyport::server
