// What an attestation key and a TLS key must be, rule by rule, so that a refusal names the one that
// failed and a verdict can list all that ran. Pure; thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pki/tpm/public_area.h"

namespace sallyport::pki {

struct KeyRuleResult {
  std::string_view rule;  // static
  bool passed;
  std::string detail;  // why not; empty when it passed
};

// CheckAttestationKey: a restricted signing key made in this TPM that never leaves it.
//   ak.fixed-tpm ak.fixed-parent ak.sensitive-data-origin ak.user-with-auth ak.restricted ak.sign
//   (must be set) ak.st-clear ak.encrypted-duplication ak.decrypt (must be clear) ak.scheme
//   (explicit; any SHA-2 with any of these keys, as TPM 2.0 Part 1 C.4.2 lets ECDSA shorten a
//   longer digest to its order; SHA-1 does not parse), ak.symmetric (none), ak.key (P-256, P-384,
//   RSA)
std::vector<KeyRuleResult> CheckAttestationKey(const PublicArea& area);

// CheckTlsKey: a P-256 signing key made in this TPM that never leaves it.
//   tls.fixed-tpm tls.fixed-parent tls.sensitive-data-origin tls.sign   (must be set)
//   tls.restricted tls.encrypted-duplication tls.decrypt                (must be clear)
//   tls.scheme (ECDSA with SHA-256), tls.symmetric (none), tls.key (P-256)
//   tls.authorisation (userWithAuth set without a policy, or clear with one)
std::vector<KeyRuleResult> CheckTlsKey(const PublicArea& area);

// RequireAll returns kPolicyDenied with the first failed rule, if any.
Result<Unit> RequireAll(std::span<const KeyRuleResult> results);

}  // namespace sallyport::pki
