// Releases and rollouts. Which transitions are legal: ota/rollout; this is their memory.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/store/connection.h"
#include "attestation-server/store/vocabulary.h"
#include "pki/base/digest.h"
#include "pki/base/time.h"

namespace sallyport::server {

struct ReleaseRow {
  ReleaseDigest digest = ReleaseDigest::FromArray({});
  std::string product;
  std::string version;
  std::string path;  // target path of release.json
  std::string json;  // as signed
  UnixTime created_at;
  bool withdrawn = false;  // targets signs it no more
};
// PutRelease: the same digest again changes nothing; kAlreadyExists for another digest at the same
// path.
Result<Unit> PutRelease(Connection& connection, const ReleaseRow& row);
Result<std::optional<ReleaseRow>> FindRelease(Connection& connection, const ReleaseDigest& digest);
Result<std::optional<ReleaseRow>> FindReleaseByPath(Connection& connection, std::string_view path);
Result<std::vector<ReleaseRow>> ListReleases(Connection& connection);
Result<Unit> SetWithdrawn(Connection& connection, const ReleaseDigest& digest, bool withdrawn);

// RunningRelease is a published release and how many active devices last showed that they run it.
struct RunningRelease {
  std::string product;
  std::string version;
  int64_t devices;
};
// CountRunning is in order of `devices`, the most first; at most `limit`.
Result<std::vector<RunningRelease>> CountRunning(Connection& connection, int64_t limit);

struct RolloutRow {
  std::string name;
  ReleaseDigest release = ReleaseDigest::FromArray({});
  RolloutState state = RolloutState::kDraft;
  RolloutState resume_state = RolloutState::kDraft;  // where `paused` goes back to
  std::string why;                                   // of the last transition
  std::string created_by;
  UnixTime created_at;
  UnixTime changed_at;
  uint64_t revision = 0;
};

struct RolloutDeviceRow {
  std::string rollout;
  std::string device_id;
  RolloutWave wave = RolloutWave::kRest;
  bool assigned = false;  // the director names the release for this device
  UpdateState state = UpdateState::kIdle;
  std::string slot;
  std::string gate;
  std::string detail;
  uint32_t percent = 0;
  UnixTime reported_at;
  std::string log_tail;  // of the boot that failed
  std::string origins;   // JSON of ota::ImageOrigins; empty: never reported
};

class Rollouts {
 public:
  explicit Rollouts(Connection& connection) : connection_(connection) {}
  Result<Unit> Insert(const RolloutRow& row, const std::vector<RolloutDeviceRow>& devices);
  // Update: kConflict ("rollout.changed") unless the stored revision is `row.revision`.
  Result<Unit> Update(const RolloutRow& row);
  Result<Unit> UpdateDevice(const RolloutDeviceRow& row);
  Result<std::optional<RolloutRow>> Find(std::string_view name);
  Result<std::vector<RolloutRow>> List(std::string_view after, int64_t limit);
  Result<std::vector<RolloutDeviceRow>> DevicesOf(std::string_view name);

 private:
  Connection& connection_;
};

// HasFailed: the device has ended its attempt, and its reference values are closed.
bool HasFailed(const RolloutDeviceRow& device);

// FindAssignment returns the newest rollout in which the device is assigned and that was not
// aborted.
Result<std::optional<RolloutDeviceRow>> FindAssignment(Connection& connection,
                                                       std::string_view device_id);

// CountDegraded counts devices that are in DEGRADED by their newest assignment in which they got
// anywhere.
Result<int64_t> CountDegraded(Connection& connection);

// AssignedRow is the release that the director names for a device.
struct AssignedRow {
  ReleaseRow release;
  std::string rollout;
};
// FindAssignedRelease is nothing without an assignment, after the device's attempt has failed (its
// values closed with it: a device that tried again would not be admitted), and for a release that
// targets signs no more.
Result<std::optional<AssignedRow>> FindAssignedRelease(Connection& connection,
                                                       std::string_view device_id);

}  // namespace sallyport::server
