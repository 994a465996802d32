#include "device-client/update/device_floors.h"

#include <algorithm>

#include "pki/base/json.h"
#include "pki/base/log.h"

namespace sallyport::device {
namespace {

constexpr uint64_t kFileBytesMax = 4096;
constexpr std::string_view kBaseFormat = "floors/v1";
constexpr std::string_view kRecordedFormat = "recorded-floors/v1";
constexpr unsigned kIncarnationShift = 32;  // of a director's version
constexpr uint64_t kStepMax = (uint64_t{1} << kIncarnationShift) / kDirectorStep - 1;

uint64_t At(const FloorCounts& counts, FloorCounter counter) {
  return counts[static_cast<size_t>(counter)];
}

ota::ManifestFloors FloorsOf(const FloorCounts& counts) {
  const uint64_t step = std::min(At(counts, FloorCounter::kDirectorStep), kStepMax);
  ota::ManifestFloors out;
  out.image_root_version = At(counts, FloorCounter::kImageRoot);
  out.image_targets_version = At(counts, FloorCounter::kImageTargets);
  out.director_version =
      (At(counts, FloorCounter::kDirectorIncarnation) << kIncarnationShift) | step * kDirectorStep;
  out.rollback_index = At(counts, FloorCounter::kRollbackIndex);
  return out;
}

// A file of ours is {"sallyport": `format`, `key`: hex}.
Result<std::optional<Bytes>> Load(FileSystem& files, const std::string& path,
                                  std::string_view format, std::string_view key) {
  const Result<Bytes> bytes = ReadFile(files, path, kFileBytesMax);
  if (!bytes && bytes.error().reason == Reason::kNotFound) return std::optional<Bytes>();
  if (!bytes) return bytes.error();
  SP_TRY(const JsonValue json, ParseJson(AsText(*bytes)));
  const JsonCursor file(json);
  SP_TRY(file.OnlyKeys({"sallyport", key}));
  SP_TRY(const std::string_view version, file.GetString("sallyport"));
  if (version != format) return file.Refuse("unknown version", "floor.file-version");
  SP_TRY(const std::string_view hex, file.GetString(key));
  SP_TRY(Bytes out, HexDecode(hex));
  return std::optional(std::move(out));
}

Result<Unit> Save(FileSystem& files, const std::string& path, std::string_view format,
                  std::string_view key, const Bytes& bytes) {
  const std::string json =
      WriteJson(JsonValue::Object({{"sallyport", format}, {std::string(key), HexEncode(bytes)}}));
  return WriteFileAtomically(files, path, AsBytes(json));
}

}  // namespace

Result<std::optional<Bytes>> DeviceFloors::LoadBase() const {
  return Load(files_, path_, kBaseFormat, "base");
}

Result<Unit> DeviceFloors::SaveBase(const Bytes& base) {
  return Save(files_, path_, kBaseFormat, "base", base);
}

Result<std::optional<FloorCounts>> DeviceFloors::LoadRecorded() const {
  SP_TRY(const std::optional<Bytes> bytes, Load(files_, RecordedPath(), kRecordedFormat, "floors"));
  if (!bytes) return std::optional<FloorCounts>();
  SP_TRY(const FloorCounts floors, pki::ParseFloorCounts(*bytes));
  return std::optional(floors);
}

Result<Unit> DeviceFloors::Recorded(const FloorCounts& floors) {
  const std::lock_guard lock(mutex_);
  const Result<std::optional<FloorCounts>> known = LoadRecorded();
  if (known && *known == floors) return Ok();
  return Save(files_, RecordedPath(), kRecordedFormat, "floors", pki::FloorCountBytes(floors));
}

Result<FloorCounts> DeviceFloors::Judge() {
  if (!base_) {
    SP_TRY(base_, LoadBase());
  }
  const bool known = base_.has_value();
  if (!known) SP_TRY(counters_.Make());
  SP_TRY(FloorReading reading, counters_.Read());
  if (known && reading.base != *base_) {
    SP_TRY(std::optional<Bytes> adopted, LoadBase());  // perhaps by another process
    if (adopted) base_ = std::move(adopted);
  }
  if (known && reading.base != base_)
    return Error{Reason::kMismatch, "the TPM's counters were made anew; see docs/rollback.md",
                 "floor.changed"};
  if (!known) {
    SP_TRY(SaveBase(reading.base));
    base_ = std::move(reading.base);
    Log(LogLevel::kInfo, "floors_adopted",
        {{"rollback_index", std::to_string(At(reading.floors, FloorCounter::kRollbackIndex))}});
  }
  return reading.floors;
}

Result<FloorCounts> DeviceFloors::ReadCounts() {
  const std::lock_guard lock(mutex_);
  return ReadCountsLocked();
}

Result<FloorCounts> DeviceFloors::ReadCountsLocked() {
  Result<FloorCounts> counts = Judge();
  if (counts) {
    status_ = {std::string(kFloorsHeld), "", FloorsOf(*counts)};
  } else {
    status_ = {std::string(counts.error().name()), counts.error().detail, {}};
  }
  return counts;
}

Result<ota::ManifestFloors> DeviceFloors::Floors() {
  SP_TRY(const FloorCounts counts, ReadCounts());
  return FloorsOf(counts);
}

Result<uint64_t> DeviceFloors::Read() {
  SP_TRY(const ota::ManifestFloors floors, Floors());
  return floors.rollback_index;
}

void DeviceFloors::Obeyed(const ota::VerifiedManifest& manifest) {
  HoldOnTo({manifest.image_root_version(), manifest.image_targets_version(), manifest.version()});
}

void DeviceFloors::Obeyed(const ota::VerifiedBundle& bundle) {
  HoldOnTo({bundle.image_root_version(), bundle.image_targets_version(), 0});
}

// A manifest that is held and a bundle may each be ahead of the other.
void DeviceFloors::HoldOnTo(const Anchors& anchors) {
  const std::lock_guard lock(mutex_);
  const Anchors held = anchors_.value_or(Anchors{});
  anchors_ = Anchors{std::max(held.root, anchors.root), std::max(held.targets, anchors.targets),
                     std::max(held.director, anchors.director)};
}

std::optional<DeviceFloors::Anchors> DeviceFloors::anchors() const {
  const std::lock_guard lock(mutex_);
  return anchors_;
}

FloorStatus DeviceFloors::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

Result<Unit> DeviceFloors::RaiseTo(FloorCounter counter, const FloorCounts& held, uint64_t value,
                                   uint64_t max) {
  if (value <= At(held, counter)) return Ok();
  const uint64_t missing = std::min(value - At(held, counter), max);
  for (uint64_t i = 0; i < missing; ++i) SP_TRY(counters_.Increment(counter));
  return Ok();
}

// The step counts within one incarnation and cannot start anew with the next. So a new incarnation
// is held on to only once its versions have passed the step that is held; until then the older
// floor stands.
Result<Unit> DeviceFloors::RaiseAnchors(const FloorCounts& held, const Anchors& anchors) {
  SP_TRY(RaiseTo(FloorCounter::kImageRoot, held, anchors.root, kAnchorRaiseMax));
  SP_TRY(RaiseTo(FloorCounter::kImageTargets, held, anchors.targets, kAnchorRaiseMax));
  const uint64_t incarnation = anchors.director >> kIncarnationShift;
  const uint64_t step = (anchors.director & UINT32_MAX) / kDirectorStep;
  if (step < At(held, FloorCounter::kDirectorStep)) return Ok();
  SP_TRY(RaiseTo(FloorCounter::kDirectorIncarnation, held, incarnation, kAnchorRaiseMax));
  const uint64_t reached = At(held, FloorCounter::kDirectorIncarnation) + kAnchorRaiseMax;
  if (incarnation > reached) return Ok();
  return RaiseTo(FloorCounter::kDirectorStep, held, step, kAnchorRaiseMax);
}

Result<Unit> DeviceFloors::Raise(uint64_t rollback_index) {
  const std::lock_guard raising(raising_);
  SP_TRY(const FloorCounts held, ReadCounts());
  const uint64_t floor = At(held, FloorCounter::kRollbackIndex);
  if (rollback_index > floor && rollback_index - floor > ota::kFloorRaiseMax)
    return Error{Reason::kPolicyDenied, "the floor cannot be raised that far", "floor.jump"};
  if (const std::optional<Anchors> anchors = this->anchors()) SP_TRY(RaiseAnchors(held, *anchors));
  SP_TRY(RaiseTo(FloorCounter::kRollbackIndex, held, rollback_index, ota::kFloorRaiseMax));
  SP_TRY(ReadCounts());
  Log(LogLevel::kInfo, "floors_raised", {{"rollback_index", std::to_string(rollback_index)}});
  return Ok();
}

// FloorsToAdopt decides; `held` are the floors that hold now, if any do.
Result<Adoption> DeviceFloors::FloorsToAdopt(const std::optional<FloorCounts>& held,
                                             bool begin_at_zero) const {
  SP_TRY(const std::optional<FloorCounts> recorded, LoadRecorded());
  if (!recorded && !held && !begin_at_zero)
    return Error{
        Reason::kPolicyDenied,
        "the server has told no floors of this TPM; let the agent attest first, or begin at "
        "zero",
        "floor.unrecorded"};
  Adoption out{recorded.value_or(FloorCounts{}), recorded.has_value()};
  if (!held) return out;
  for (size_t i = 0; i < kFloorCounters; ++i) out.floors[i] = std::max(out.floors[i], (*held)[i]);
  if (out.floors == *held)
    return Error{Reason::kConflict, "the floors are whole: there is nothing to adopt",
                 "floor.held"};
  return out;
}

Result<Adoption> DeviceFloors::Adopt(bool begin_at_zero) {
  const std::lock_guard raising(raising_);
  const std::lock_guard lock(mutex_);
  SP_TRY(base_, LoadBase());
  const Result<FloorReading> reading = counters_.Read();
  if (!reading && reading.error().name() != "floor.missing") return reading.error();
  std::optional<FloorCounts> held;
  if (reading && base_ && reading->base == *base_) held = reading->floors;
  SP_TRY(const Adoption out, FloorsToAdopt(held, begin_at_zero));
  SP_TRY(counters_.Remake(out.floors));
  SP_TRY(FloorReading made, counters_.Read());
  SP_TRY(SaveBase(made.base));
  base_ = std::move(made.base);
  return out;
}

}  // namespace sallyport::device
