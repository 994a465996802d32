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
// A superseded set is judged by for as long as a device may be away: longer than any offline lease.
inline constexpr Duration kReferenceOverlap = Days(30);
inline constexpr Duration kLearningMax = Days(7);  // a window is for a bench, not for a fleet

// ReferenceOperations is thread-safe. Answers hold id, class, state, approvals and needed.
class ReferenceOperations {
 public:
  // `needed` is how many operators a change takes; `changed` is called after a commit that devices
  // are judged by.
  ReferenceOperations(OperationParts parts, size_t needed, std::function<void()> changed)
      : parts_(parts), needed_(needed), changed_(std::move(changed)) {}

  // Import adds a set for a class as a candidate, with the caller's approval of its bytes; it is
  // active at once where that is enough. Rules of ParseReferenceFile; kMismatch
  // ("reference.class"); kAlreadyExists for the same bytes; kNotFound "device.unknown",
  // "reference.supersedes" and kMismatch "reference.device", "reference.supersedes" when the file
  // names devices or sets that are not of the class.
  Result<JsonValue> Import(const Operator& caller, std::string_view device_class, ByteView json,
                           const std::vector<SignedApproval>& approvals, UnixTime now);
  // Approve records the caller's approval of a candidate; the last one that was needed makes it
  // active. kConflict ("reference.state") in another state, kPolicyDenied ("reference.release") for
  // the values of a release: a rollout opens those, for the devices it assigns.
  Result<JsonValue> Approve(const Operator& caller, std::string_view id,
                            const std::vector<SignedApproval>& approvals, UnixTime now);
  // A set that becomes active is assigned to the devices it names, and the sets it supersedes
  // retire after kReferenceOverlap.
  // Retire ends a set for good: devices that still boot it fail at their next proof; sets that it
  // superseded and that are still retiring are active again. kConflict
  // ("reference.state") when it is retired.
  Result<JsonValue> Retire(const Operator& caller, std::string_view id,
                           const std::vector<SignedApproval>& approvals, UnixTime now);
  Result<JsonValue> List(int64_t limit);
  // Show is a set with its values, the devices it is for, and those it was learned from.
  Result<JsonValue> Show(std::string_view id);

  // Learn opens a window: until `until`, authentic boots of the class that lack nothing but
  // reference values are captured as sets in state learning, which judge nobody. kInvalidArgument
  // ("learning.time") unless it ends within kLearningMax.
  Result<JsonValue> Learn(const Operator& caller, std::string_view device_class, UnixTime until,
                          UnixTime now);
  // StopLearning closes the window and turns what was captured into candidates, each of which needs
  // its approvals. kNotFound ("learning.closed") when there is neither.
  Result<JsonValue> StopLearning(const Operator& caller, std::string_view device_class);

  // RetireAged ends superseded sets whose overlap is over; returns how many.
  Result<size_t> RetireAged(UnixTime now);

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

  // Activate and Withdraw do what follows from a set's new state.
  static Result<Unit> Activate(Transaction& transaction, const ReferenceRow& row, UnixTime now);
  static Result<Unit> Withdraw(Transaction& transaction, const ReferenceRow& row);

  OperationParts parts_;
  const size_t needed_;
  const std::function<void()> changed_;
};

}  // namespace sallyport::server
