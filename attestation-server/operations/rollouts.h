// Releases that were published, and rollouts of them. Which transitions are legal: ota/rollout; who
// gets what, and which reference values open for whom: here, in one transaction with it.
#pragma once

#include <functional>
#include <set>

#include "attestation-server/operations/operator.h"
#include "attestation-server/store/rollouts.h"
#include "ota/install/image_origins.h"
#include "ota/rollout/rollout.h"
#include "pki/base/json.h"

namespace sallyport::server {

struct RolloutOrder {
  std::string name;
  std::string release_path;
  std::vector<std::string> canary;   // device names or ids
  std::vector<std::string> devices;  // the others; empty: every active device
};

struct DeviceUpdateReport {
  std::string device_id;
  std::optional<ReleaseDigest> release;  // whose state it is; absent: no release
  std::string state;                     // ota/install state name
  uint32_t percent = 0;
  std::string slot;
  std::string gate;
  std::string detail;
  std::string log_tail{};       // of the boot that failed
  ota::ImageOrigins origins{};  // of the image; empty: it does not say
};

// What is kept of a report's texts, in bytes: a device is a stranger.
inline constexpr size_t kReportWordMax = 64;      // slot, gate
inline constexpr size_t kReportDetailMax = 1024;  // one sentence with its evidence
inline constexpr size_t kReportLogMax = 4096;     // what the agent sends
// No count of a report is higher: more than any image, and exact in any JSON reader.
inline constexpr uint64_t kReportCountMax = uint64_t{1} << 53;

// Cleaned bounds the texts of a report and takes away what steers a terminal. Pure.
DeviceUpdateReport Cleaned(DeviceUpdateReport report);

// RolloutOperations is thread-safe.
class RolloutOperations {
 public:
  // `changed` is called after a commit that gives devices news.
  RolloutOperations(OperationParts parts, const Clock& clock, std::function<void()> changed)
      : parts_(parts), clock_(clock), changed_(std::move(changed)) {}

  // Create drafts a rollout; it is `signed` at once, since only published releases can be named.
  // kNotFound "rollout.release", "device.unknown"; kConflict "rollout.content-key" (it is sealed,
  // and no operator gave its key); kInvalidArgument "rollout.canary" (none, or listed twice).
  Result<JsonValue> Create(const Operator& caller, const RolloutOrder& order);
  // Approve records the caller's approval of the rollout's digest and assigns the canaries.
  Result<JsonValue> Approve(const Operator& caller, std::string_view name,
                            const std::vector<SignedApproval>& approvals);
  // Advance assigns the rest; kConflict "rollout.canaries" while a canary has not committed.
  Result<JsonValue> Advance(const Operator& caller, std::string_view name);
  Result<JsonValue> Pause(const Operator& caller, std::string_view name);
  Result<JsonValue> Resume(const Operator& caller, std::string_view name);
  // Abort withdraws the assignment from devices that have not committed.
  Result<JsonValue> Abort(const Operator& caller, std::string_view name);
  Result<JsonValue> Show(std::string_view name);
  Result<JsonValue> List(std::string_view after, int64_t limit);

  // OnReport keeps what a device says of the release it is assigned; what it says of another, which
  // it had before, changes nothing. Then it does what follows: reference values move
  // with a commit, and a rollout halts or completes. A report that cannot be kept is logged and
  // dropped. What is said again of an attempt that ended only adds the log, and a reason where
  // there was none.
  void OnReport(const DeviceUpdateReport& report);

 private:
  using Changer = std::function<Result<Unit>(RolloutRow&, Transaction&)>;
  Result<JsonValue> Change(const Operator& caller, std::string_view name, std::string_view event,
                           const Changer& change);

  OperationParts parts_;
  const Clock& clock_;
  const std::function<void()> changed_;
};

// RolloutDigest is what an approval signs: name, release and the two device lists.
Sha256Digest RolloutDigest(const RolloutRow& rollout, const std::vector<RolloutDeviceRow>& devices);

// RecordRelease keeps a published release and its reference sets (as candidates, open to nobody
// yet). The same release again changes nothing.
Result<Unit> RecordRelease(Transaction& transaction, const std::string& path, ByteView release_json,
                           UnixTime now);

// RecordWithdrawals: `published` are the target paths that targets signs now. Releases elsewhere
// are withdrawn, and those that came back are not. A rollout of a withdrawn release halts, or is
// aborted when it has not begun, and the values of who has not committed close; who runs the
// release goes on being judged by it.
Result<Unit> RecordWithdrawals(Transaction& transaction, const std::set<std::string>& published,
                               UnixTime now);

}  // namespace sallyport::server
