// Reference sets (alternatives a device's boot is judged by) and which of them each device has.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/store/connection.h"
#include "attestation-server/store/vocabulary.h"
#include "pki/base/digest.h"
#include "pki/base/time.h"

namespace sallyport::server {

struct ReferenceRow {
  Sha256Digest id = Sha256Digest::FromArray({});  // SHA-256 of `json` as received
  std::string device_class;
  ReferenceState state = ReferenceState::kCandidate;
  std::string json;  // reference/v1
  std::optional<ReleaseDigest> release;
  UnixTime created_at;
  ReferenceScope scope = ReferenceScope::kClass;
  std::optional<UnixTime> retire_at = {};  // of a retiring set
};

// JudgedReference is a set that one device may be judged under: by its class (no role), or assigned
// to it.
struct JudgedReference {
  ReferenceRow row;
  std::optional<ReferenceRole> role;
};

// Every change raises Counter::kReferenceEpoch in the same transaction.
class References {
 public:
  explicit References(Connection& connection) : connection_(connection) {}
  // kAlreadyExists for the same bytes.
  Result<Unit> Insert(const ReferenceRow& row);
  // InsertUnjudged is Insert of a set that judges nobody yet: it raises no epoch.
  Result<Unit> InsertUnjudged(const ReferenceRow& row);
  Result<Unit> SetState(const Sha256Digest& id, ReferenceState state,
                        std::optional<UnixTime> retire_at = std::nullopt);
  // Assign adds `id` to one of the device's sets; Withdraw empties one of them.
  Result<Unit> Assign(std::string_view device_id, ReferenceRole role, const Sha256Digest& id);
  Result<Unit> Withdraw(std::string_view device_id, ReferenceRole role);
  Result<std::optional<ReferenceRow>> Find(const Sha256Digest& id);
  Result<std::vector<ReferenceRow>> List(std::string_view device_class, int64_t limit);
  Result<std::vector<ReferenceRow>> ListAll(int64_t limit);
  // InForce lists the active and retiring sets of a class, those of releases and devices too.
  Result<std::vector<ReferenceRow>> InForce(std::string_view device_class);
  // RetiringUntil lists retiring sets whose time is up at `now`.
  Result<std::vector<ReferenceRow>> RetiringUntil(UnixTime now);
  // ForDevice returns the sets in force of the class that belong to no release, and those assigned
  // to the device itself (MayJudge in reference/life_cycle.h).
  Result<std::vector<JudgedReference>> ForDevice(std::string_view device_id,
                                                 std::string_view device_class);

 private:
  Connection& connection_;
};

// DeviceReferences says which ids a device has in a role.
Result<std::vector<Sha256Digest>> DeviceReferences(Connection& connection,
                                                   std::string_view device_id, ReferenceRole role);

}  // namespace sallyport::server
