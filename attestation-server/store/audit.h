// The audit: a hash chain over salted commitments (architecture 10). Entry n has
//   commitment = SHA-256(salt || record)          salt: 32 random bytes, record: JSON
//   hash = SHA-256("sallyport/audit/v1\0" || prev_hash || u64 seq || LP32(event) || commitment)
// prev_hash of entry 1 is 32 zero bytes. Retention deletes salt and record; the chain still
// verifies, and without the salt nobody can guess a deleted record from its commitment.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/store/connection.h"
#include "pki/base/digest.h"
#include "pki/base/json.h"
#include "pki/base/random.h"

namespace sallyport::server {

struct AuditEntry {
  uint64_t seq = 0;
  Sha256Digest prev_hash;
  std::string event;
  Sha256Digest commitment;
  Sha256Digest hash;
  std::optional<Sha256Digest> salt;  // both absent after retention
  std::optional<std::string> record;
};

// AuditHead is what the next entry chains to.
struct AuditHead {
  uint64_t seq = 0;
  Sha256Digest hash = Sha256Digest::FromArray({});
  auto operator<=>(const AuditHead&) const = default;
};

Sha256Digest AuditCommitment(const Sha256Digest& salt, std::string_view record);
Sha256Digest AuditHash(const Sha256Digest& prev_hash, uint64_t seq, std::string_view event,
                       const Sha256Digest& commitment);

// AuditAppender belongs to the writer thread. It keeps the head in memory; the writer restores it
// when a savepoint is rolled back.
class AuditAppender {
 public:
  // Load reads the head from the store; kInternal when the table is not readable.
  static Result<AuditAppender> Load(Connection& connection, Random& random);
  // Append writes one entry. kTooLarge above kAuditRecordMax.
  Result<uint64_t> Append(Connection& connection, std::string_view event, const JsonValue& record);
  const AuditHead& head() const { return head_; }
  void Restore(const AuditHead& head) { head_ = head; }

 private:
  AuditAppender(AuditHead head, Random& random) : head_(head), random_(&random) {}
  AuditHead head_;
  Random* random_;
};

// ReadAudit returns entries with seq > `after`, oldest first, at most `limit`.
Result<std::vector<AuditEntry>> ReadAudit(Connection& connection, uint64_t after, int64_t limit);

// AuditVerifier walks the chain entry by entry. Pure.
class AuditVerifier {
 public:
  explicit AuditVerifier(AuditHead from = {}) : head_(from) {}
  // Check refuses with kMismatch: "audit.sequence" (gap), "audit.chain" (prev_hash),
  // "audit.commitment" (record or salt changed, or only one of the two left), "audit.hash".
  Result<Unit> Check(const AuditEntry& entry);
  const AuditHead& head() const { return head_; }

 private:
  AuditHead head_;
};

// VerifyAudit checks the whole stored chain and returns its head.
Result<AuditHead> VerifyAudit(Connection& connection);

// ForgetAuditRecords deletes salt and record of entries with seq <= `up_to` and returns how many
// had one.
Result<int64_t> ForgetAuditRecords(Connection& connection, uint64_t up_to);

}  // namespace sallyport::server
