#include "attestation-server/operations/approval.h"

#include "pki/base/json.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kRole = "approval";
constexpr JsonLimits kBodyLimits{.size_max = 2048, .depth_max = 2};

Error Refused(std::string_view rule, std::string detail) {
  return Error{Reason::kPolicyDenied, std::move(detail), rule};
}

}  // namespace

Result<SignedApproval> MakeApproval(const pki::PrivateKey& key, std::string_view operator_id,
                                    std::string_view action, const Sha256Digest& digest,
                                    UnixTime expires) {
  const Bytes body = ToBytes(WriteJson(JsonValue::Object({{"action", action},
                                                          {"digest", HexEncode(digest)},
                                                          {"expires", FormatRfc3339(expires)},
                                                          {"operator", operator_id}})));
  SP_TRY(const pki::StatementSigner signer, pki::StatementSigner::Make(std::string(kRole), key));
  return signer.SignStatement(body);
}

Result<VerifiedApproval> VerifyApproval(const SignedApproval& approval, const pki::PublicKey& key,
                                        std::string_view operator_id, std::string_view action,
                                        const Sha256Digest& digest, UnixTime now) {
  const Result<pki::VerifiedBody> verified = pki::VerifyStatement(key, kRole, approval);
  if (!verified)
    return Error{Reason::kBadSignature, "approval is not signed by the caller's key",
                 "approval.signature"};
  SP_TRY(const JsonValue json, ParseJson(AsText(verified->view()), kBodyLimits));
  const JsonCursor body(json);
  SP_TRY(body.OnlyKeys({"action", "digest", "expires", "operator"}));
  SP_TRY(const std::string_view said_operator, body.GetString("operator"));
  SP_TRY(const std::string_view said_action, body.GetString("action"));
  SP_TRY(const std::string_view said_digest, body.GetString("digest"));
  SP_TRY(const std::string_view said_expires, body.GetString("expires"));
  SP_TRY(const UnixTime expires, ParseRfc3339(said_expires));
  if (said_operator != operator_id)
    return Refused("approval.operator", "approval names another operator");
  if (said_action != action) return Refused("approval.action", "approval is for another action");
  if (said_digest != HexEncode(digest))
    return Refused("approval.digest", "approval is for other content");
  if (now >= expires || expires > now + kApprovalLifetimeMax)
    return Error{Reason::kExpired, "approval is past its end or reaches too far ahead",
                 "approval.expired"};
  return VerifiedApproval(std::string(action), digest, std::string(operator_id), expires);
}

}  // namespace sallyport::server
