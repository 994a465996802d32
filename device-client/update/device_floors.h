// DeviceFloors: the rollback floors of this device, out of the TPM's counters (docs/rollback.md).
// Manifests are judged by all of them; the commit of a release that asks for it raises them, and
// nothing else writes to the TPM.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "device-client/tpm/floor_counters.h"
#include "ota/install/monotonic_floor.h"
#include "ota/metadata/uptane.h"
#include "ota/metadata/usb_bundle.h"
#include "pki/base/file_system.h"

namespace sallyport::device {

// One count of the director's floor stands for that many versions: the director counts manifests of
// the whole fleet, and a floor need not be exact.
inline constexpr uint64_t kDirectorStep = 1 << 16;
// Roots, targets and director follow by at most that many counts per commit: a floor behind the
// truth is safe, and a version that was pushed ahead by a thief wears nothing out.
inline constexpr uint64_t kAnchorRaiseMax = 256;

inline constexpr std::string_view kFloorsHeld = "held";

// FloorStatus is what `sallyport-agent update status` shows: the last reading.
struct FloorStatus {
  std::string state = "unread";  // kFloorsHeld, or the rule of the refusal
  std::string detail;            // of the refusal
  ota::ManifestFloors floors;    // while held
};

// Adoption is what `sallyport-agent update adopt-floors` did.
struct Adoption {
  FloorCounts floors;
  bool recorded = false;  // floors that the server had recorded; else they begin at zero
};

// DeviceFloors is thread-safe; borrows its parts. The file at `path` remembers where the counters
// began, so that counters made anew beside a state that knows the old ones are noticed. It proves
// nothing, and the floors hold without it. Beside it is what the server recorded (`path`.recorded).
class DeviceFloors final : public ota::MonotonicFloor {
 public:
  DeviceFloors(FloorCounters& counters, FileSystem& files, std::string path)
      : counters_(counters), files_(files), path_(std::move(path)) {}

  // Floors reads the TPM; the first call makes counters on a device that never had any. Errors of
  // FloorCounters, of the file, and kMismatch, floor.changed: made anew since this state was
  // written (TPM2_Clear, or an owner undefined them).
  Result<ota::ManifestFloors> Floors();
  // Recorded keeps what the server has recorded of this TPM, for Adopt.
  Result<Unit> Recorded(const FloorCounts& floors);
  // Adopt makes counters that are missing, or were made anew, the floors of this device: with the
  // floors that the server recorded, or from zero when it recorded none and `begin_at_zero`. Never
  // lowers a floor that is held. kConflict, floor.held: there is nothing to adopt; kPolicyDenied,
  // floor.unrecorded; errors of FloorCounters but floor.missing, and of the files. A cut in between
  // leaves floors that are refused, and the next call goes on.
  Result<Adoption> Adopt(bool begin_at_zero);
  // Obeyed says what the next Raise may hold on to besides the rollback index.
  void Obeyed(const ota::VerifiedManifest& manifest);
  void Obeyed(const ota::VerifiedBundle& bundle);
  FloorStatus status() const;

  // MonotonicFloor: the rollback index. Raise lifts roots, targets and director of the obeyed
  // manifest first and the rollback index last; a cut in between leaves lower floors, and the next
  // commit goes on.
  Result<uint64_t> Read() override;
  Result<Unit> Raise(uint64_t rollback_index) override;

 private:
  struct Anchors {
    uint64_t root;
    uint64_t targets;
    uint64_t director;
  };
  void HoldOnTo(const Anchors& anchors);
  Result<FloorCounts> ReadCounts();
  Result<FloorCounts> ReadCountsLocked();
  Result<std::optional<FloorCounts>> LoadRecorded() const;
  Result<FloorCounts> Judge();
  Result<std::optional<Bytes>> LoadBase() const;
  Result<Unit> SaveBase(const Bytes& base);
  std::string RecordedPath() const { return path_ + ".recorded"; }
  Result<Adoption> FloorsToAdopt(const std::optional<FloorCounts>& held, bool begin_at_zero) const;
  std::optional<Anchors> anchors() const;
  Result<Unit> RaiseAnchors(const FloorCounts& held, const Anchors& anchors);
  Result<Unit> RaiseTo(FloorCounter counter, const FloorCounts& held, uint64_t value, uint64_t max);

  FloorCounters& counters_;
  FileSystem& files_;
  const std::string path_;
  // One raise or adoption at a time; taken before mutex_. A raise holds this one alone: status and
  // manifests do not wait for hundreds of counts.
  std::mutex raising_;
  mutable std::mutex mutex_;   // guards the rest
  std::optional<Bytes> base_;  // as this state knows it
  std::optional<Anchors> anchors_;
  FloorStatus status_;
};

}  // namespace sallyport::device
