// A checkpoint says, signed, how far the audit reached: whoever holds one sees when a later audit
// lost or changed an entry (docs/protocol.md, "Signed statements"; role `audit-checkpoint`). Pure;
// thread-safe.
#pragma once

#include "attestation-server/store/audit.h"
#include "pki/base/time.h"
#include "pki/ca/signed_statement.h"

namespace sallyport::server {

struct Checkpoint {
  std::string trust_domain;
  uint64_t incarnation = 0;
  AuditHead head;
  UnixTime at;
};

// CheckpointSigner signs checkpoints with the audit key, and nothing else.
class CheckpointSigner {
 public:
  // kUnsupported unless the key is Ed25519.
  static Result<CheckpointSigner> Make(pki::PrivateKey key);
  Result<pki::SignedStatement> SignCheckpoint(const Checkpoint& checkpoint) const;

 private:
  explicit CheckpointSigner(pki::StatementSigner signer) : signer_(std::move(signer)) {}
  pki::StatementSigner signer_;
};

// VerifyCheckpoint: kBadSignature ("checkpoint.signature"); kMalformed (rules of JsonCursor).
Result<Checkpoint> VerifyCheckpoint(const pki::PublicKey& key,
                                    const pki::SignedStatement& statement);

}  // namespace sallyport::server
