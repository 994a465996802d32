// What operators see of devices and do to them.
#pragma once

#include <functional>

#include "attestation-server/operations/operator.h"
#include "attestation-server/store/devices.h"
#include "pki/base/json.h"

namespace sallyport::server {

inline constexpr size_t kReleaseApprovals =
    2;  // architecture 6.8: two operators end a quarantine of theirs

// DeviceOperations is thread-safe. Names and ids are both accepted.
class DeviceOperations {
 public:
  // Live is what is known of a device besides the store.
  struct Live {
    std::function<bool(const std::string& device_id)> is_online;  // has a stream
    // Its gravest alarm (fleet_alarms.h); empty: none.
    std::function<std::string_view(const std::string& device_id)> alarm;
  };
  DeviceOperations(OperationParts parts, Live live) : parts_(parts), live_(std::move(live)) {}

  // List has for each device its name, state, posture, tier, whether it is online, and its alarm.
  Result<JsonValue> List(std::string_view after, int64_t limit, UnixTime now);
  Result<JsonValue> Show(std::string_view name, UnixTime now);
  // Explain says in plain words why a device fails, event by event: what differs from the nearest
  // reference, how many other devices show the same and since when, and with which command it could
  // be accepted. Shows the last verdicts.
  Result<JsonValue> Explain(std::string_view name, UnixTime now);

  // Approve admits a pending device. kConflict ("device.state") in another state.
  Result<JsonValue> Approve(const Operator& caller, std::string_view name,
                            const std::vector<SignedApproval>& approvals, UnixTime now);
  // Quarantine cuts a device off: epoch + 1, every certificate dead. `cause` is operator or clone.
  Result<JsonValue> Quarantine(const Operator& caller, std::string_view name,
                               std::string_view cause, std::string_view why, UnixTime now);
  // Release records an approval; the second operator's ends the quarantine.
  Result<JsonValue> Release(const Operator& caller, std::string_view name,
                            const std::vector<SignedApproval>& approvals, UnixTime now);
  // Decommission retires a device for good; it cannot come back under this identity.
  Result<JsonValue> Decommission(const Operator& caller, std::string_view name,
                                 const std::vector<SignedApproval>& approvals, UnixTime now);

 private:
  // Change runs `change` on the device inside one transaction, with an audit entry; returns the
  // device as changed.
  using Changer = std::function<Result<Unit>(DeviceRecord&, Transaction&)>;
  Result<DeviceRecord> Change(const Operator& caller, std::string_view name, std::string_view event,
                              const Changer& change);

  OperationParts parts_;
  const Live live_;
};

// FindDevice looks `name` up as a name, then as an id; kNotFound ("device.unknown").
Result<DeviceRecord> FindDevice(Connection& connection, std::string_view name);

}  // namespace sallyport::server
