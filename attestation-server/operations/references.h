// Reference values of classes, as operators change them: every change is a signed approval of the
// set's own bytes, and takes as many operators as the trust domain asks for. The states and their
// edges: reference/life_cycle.h.
#pragma once

#include <functional>

#include "attestation-server/operations/operator.h"
#include "attestation-server/reference/life_cycle.h"
#include "attestation-server/store/references.h"
#include "pki/base/json.h"

namespace sallyport::server {

inline constexpr size_t kReferenceApprovals = 2;  // architecture 8: nobody admits a boot alone
inline constexpr size_t kReferenceApprovalsInDevelopment = 1;

// ReferenceOperations is thread-safe. Answers hold id, class, state, approvals and needed.
class ReferenceOperations {
 public:
  // `needed` is how many operators a change takes; `changed` is called after a commit that devices
  // are judged by.
  ReferenceOperations(OperationParts parts, size_t needed, std::function<void()> changed)
      : parts_(parts), needed_(needed), changed_(std::move(changed)) {}

  // Import adds a set for a class as a candidate, with the caller's approval of its bytes; it is
  // active at once where that is enough. Rules of ParseReferenceFile; kMismatch
  // ("reference.class"); kAlreadyExists for the same bytes.
  Result<JsonValue> Import(const Operator& caller, std::string_view device_class, ByteView json,
                           const std::vector<SignedApproval>& approvals, UnixTime now);
  // Approve records the caller's approval of a candidate; the last one that was needed makes it
  // active. kConflict ("reference.state") in another state, kPolicyDenied ("reference.release") for
  // the values of a release: a rollout opens those, for the devices it assigns.
  Result<JsonValue> Approve(const Operator& caller, std::string_view id,
                            const std::vector<SignedApproval>& approvals, UnixTime now);
  // Retire ends a set for good: devices that still boot it fail at their next proof. kConflict
  // ("reference.state") when it is retired.
  Result<JsonValue> Retire(const Operator& caller, std::string_view id,
                           const std::vector<SignedApproval>& approvals, UnixTime now);
  Result<JsonValue> List(int64_t limit);

 private:
  struct Act {
    std::string_view action;
    ReferenceEvent event;
    std::string_view audit;
  };
  Result<JsonValue> Change(const Operator& caller, std::string_view id, const Act& act,
                           const std::vector<SignedApproval>& approvals, UnixTime now);
  // Fire records `approval` and, when it is the last one needed, moves the set along `act.event`.
  Result<JsonValue> Fire(Transaction& transaction, ReferenceRow row, const Act& act,
                         const ApprovalRow& approval, UnixTime now) const;

  OperationParts parts_;
  const size_t needed_;
  const std::function<void()> changed_;
};

}  // namespace sallyport::server
