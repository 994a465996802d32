#include "attestation-server/archive/checkpoint.h"

#include "pki/base/json.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kRole = "audit-checkpoint";
constexpr JsonLimits kBodyLimits{.size_max = 4096, .depth_max = 2};

}  // namespace

Result<CheckpointSigner> CheckpointSigner::Make(pki::PrivateKey key) {
  if (key.public_key().type() != pki::KeyType::kEd25519)
    return Error{Reason::kUnsupported, "checkpoints are signed with Ed25519", "checkpoint.key"};
  SP_TRY(pki::StatementSigner signer,
         pki::StatementSigner::Make(std::string(kRole), std::move(key)));
  return CheckpointSigner(std::move(signer));
}

Result<pki::SignedStatement> CheckpointSigner::SignCheckpoint(const Checkpoint& checkpoint) const {
  const std::string body = WriteJson(JsonValue::Object({{"trust_domain", checkpoint.trust_domain},
                                                        {"incarnation", checkpoint.incarnation},
                                                        {"entries", checkpoint.head.seq},
                                                        {"head", HexEncode(checkpoint.head.hash)},
                                                        {"at", FormatRfc3339(checkpoint.at)}}));
  return signer_.SignStatement(AsBytes(body));
}

Result<Checkpoint> VerifyCheckpoint(const pki::PublicKey& key,
                                    const pki::SignedStatement& statement) {
  const Result<pki::VerifiedBody> verified = pki::VerifyStatement(key, kRole, statement);
  if (!verified)
    return Error{Reason::kBadSignature, "the checkpoint is not signed by the audit key",
                 "checkpoint.signature"};
  SP_TRY(const JsonValue json, ParseJson(AsText(verified->view()), kBodyLimits));
  const JsonCursor body(json);
  SP_TRY(body.OnlyKeys({"trust_domain", "incarnation", "entries", "head", "at"}));
  Checkpoint out;
  SP_TRY(out.trust_domain, body.GetString("trust_domain"));
  SP_TRY(const int64_t incarnation, body.GetInteger("incarnation", 0));
  SP_TRY(const int64_t entries, body.GetInteger("entries", 0));
  SP_TRY(const std::string_view head, body.GetString("head"));
  SP_TRY(const std::string_view at, body.GetString("at"));
  SP_TRY(const Bytes hash, HexDecode(head));
  SP_TRY(out.head.hash, Sha256Digest::FromView(hash));
  SP_TRY(out.at, ParseRfc3339(at));
  out.incarnation = static_cast<uint64_t>(incarnation);
  out.head.seq = static_cast<uint64_t>(entries);
  return out;
}

}  // namespace sallyport::server
