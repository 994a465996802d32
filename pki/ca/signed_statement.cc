#include "pki/ca/signed_statement.h"

namespace sallyport::pki {
namespace {

bool IsRole(std::string_view role) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !role.empty() && role[0] >= 'a' && role[0] <= 'z' && std::ranges::all_of(role, allowed);
}

Result<Unit> CheckKeyType(const PublicKey& key) {
  if (key.type() != KeyType::kEd25519 && key.type() != KeyType::kP256)
    return Error{Reason::kUnsupported, "statements are signed with Ed25519 or P-256",
                 "statement.key"};
  return Ok();
}

}  // namespace

Bytes StatementBytes(std::string_view role, ByteView body) {
  SP_CHECK(IsRole(role));
  ByteWriter writer;
  writer.Raw(AsBytes("sallyport/")).Raw(AsBytes(role)).Raw(AsBytes("/v1")).U8(0);
  writer.BigU64(body.size()).Raw(body);
  return std::move(writer).Take();
}

Result<StatementSigner> StatementSigner::Make(std::string role, PrivateKey key) {
  SP_TRY(CheckKeyType(key.public_key()));
  return StatementSigner(std::move(role), std::move(key));
}

Result<SignedStatement> StatementSigner::SignStatement(ByteView body) const {
  SP_TRY(Bytes signature, key_.Sign(StatementBytes(role_, body)));
  return SignedStatement{ToBytes(body), std::move(signature)};
}

Result<VerifiedBody> VerifyStatement(const PublicKey& key, std::string_view role,
                                     const SignedStatement& statement) {
  SP_TRY(CheckKeyType(key));
  if (!key.Verify(StatementBytes(role, statement.body), statement.signature).has_value())
    return Error{Reason::kBadSignature, "statement of role " + std::string(role),
                 "statement.signature"};
  return VerifiedBody(statement.body);
}

Bytes SignedTimeBody(UnixTime time, uint64_t incarnation, ByteView nonce) {
  ByteWriter writer;
  writer.BigU64(static_cast<uint64_t>(time.ms)).BigU64(incarnation).Raw(nonce);
  return std::move(writer).Take();
}

}  // namespace sallyport::pki
