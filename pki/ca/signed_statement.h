// Signed statements: opaque bodies under a role's label (architecture 5a; docs/protocol.md, "Signed
// statements"). The signature covers `sallyport/<role>/v1\0` || u64 length || body. Pure;
// thread-safe.
#pragma once

#include <string>

#include "pki/base/time.h"
#include "pki/crypto/signature.h"

namespace sallyport::pki {

struct SignedStatement {
  Bytes body;
  Bytes signature;
};

// StatementBytes is what is signed. Aborts unless `role` is `^[a-z][a-z0-9-]*$`: roles are ours,
// not input.
Bytes StatementBytes(std::string_view role, ByteView body);

// StatementSigner signs the statements of one role.
class StatementSigner {
 public:
  // kUnsupported unless the key is Ed25519, or P-256 (operators' approvals).
  static Result<StatementSigner> Make(std::string role, PrivateKey key);
  Result<SignedStatement> SignStatement(ByteView body) const;
  const PublicKey& public_key() const { return key_.public_key(); }
  const std::string& role() const { return role_; }

 private:
  StatementSigner(std::string role, PrivateKey key)
      : role_(std::move(role)), key_(std::move(key)) {}
  std::string role_;
  PrivateKey key_;
};

// VerifiedBody is a body whose signature VerifyStatement, its only maker, has checked. Parse it
// after this.
class VerifiedBody {
 public:
  ByteView view() const { return bytes_; }

 private:
  friend Result<VerifiedBody> VerifyStatement(const PublicKey&, std::string_view,
                                              const SignedStatement&);
  explicit VerifiedBody(Bytes bytes) : bytes_(std::move(bytes)) {}
  Bytes bytes_;
};

// VerifyStatement: kBadSignature (rule statement.signature) for another key, role or body;
// kUnsupported for keys that are neither Ed25519 nor P-256.
Result<VerifiedBody> VerifyStatement(const PublicKey& key, std::string_view role,
                                     const SignedStatement& statement);

// Signed time (docs/protocol.md, "The stream"): the body is u64 Unix ms || u64 incarnation || the
// nonce of the device's hello, so that no time of another device or of an earlier stream counts.
inline constexpr std::string_view kSignedTimeRole = "signed-time";
Bytes SignedTimeBody(UnixTime time, uint64_t incarnation, ByteView nonce);

}  // namespace sallyport::pki
