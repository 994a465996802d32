#include "attestation-server/enrolment/admission.h"

namespace sallyport::server {

namespace {

Result<Unit> CheckToken(const TokenRecord& token, const Sha256Digest& ek_spki_hash, UnixTime now) {
  if (token.revoked) return Error{Reason::kPolicyDenied, "token was revoked", "token.revoked"};
  if (now >= token.expires_at) return Error{Reason::kExpired, "token has ended", "token.expired"};
  if (token.uses >= token.uses_max)
    return Error{Reason::kReplayed, "token has no use left", "token.spent"};
  if (token.ek_spki_hash.has_value() && *token.ek_spki_hash != ek_spki_hash)
    return Error{Reason::kPolicyDenied, "token is for another EK", "token.other-ek"};
  return Unit{};
}

bool MayAutoApprove(const TokenRecord& token) {
  return token.auto_approve && token.uses_max <= kAutoApproveCountMax &&
         token.expires_at - token.created_at <= kAutoApproveLifetimeMax;
}

}  // namespace

Result<AdmissionGround> DecideAdmission(const std::optional<ListedEk>& listed,
                                        const std::optional<TokenRecord>& token, bool token_sent,
                                        const Sha256Digest& ek_spki_hash, UnixTime now) {
  if (listed.has_value())
    return AdmissionGround{ProvenanceKind::kEkList, "",   listed->profile, listed->device_name,
                           listed->placement,       false};
  if (!token_sent)
    return Error{Reason::kPolicyDenied, "EK is not listed and no token came", "admission.unlisted"};
  if (!token.has_value()) return Error{Reason::kPolicyDenied, "no such token", "token.unknown"};
  SP_TRY(CheckToken(*token, ek_spki_hash, now));
  const bool pending = !token->ek_spki_hash.has_value() && !MayAutoApprove(*token);
  return AdmissionGround{ProvenanceKind::kToken, token->id,        token->profile,
                         token->device_name,     token->placement, pending};
}

}  // namespace sallyport::server
