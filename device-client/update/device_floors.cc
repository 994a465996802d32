#include "device-client/update/device_floors.h"

#include <algorithm>

#include "pki/base/json.h"
#include "pki/base/log.h"

namespace sallyport::device {
namespace {

constexpr uint64_t kFileBytesMax = 4096;
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

}  // namespace

Result<std::optional<Bytes>> DeviceFloors::LoadBase() const {
  const Result<Bytes> bytes = ReadFile(files_, path_, kFileBytesMax);
  if (!bytes && bytes.error().reason == Reason::kNotFound) return std::optional<Bytes>();
  if (!bytes) return bytes.error();
  SP_TRY(const JsonValue json, ParseJson(AsText(*bytes)));
  const JsonCursor file(json);
  SP_TRY(file.OnlyKeys({"sallyport", "base"}));
  SP_TRY(const std::string_view version, file.GetString("sallyport"));
  if (version != "floors/v1") return file.Refuse("unknown version", "floor.file-version");
  SP_TRY(const std::string_view base, file.GetString("base"));
  SP_TRY(Bytes out, HexDecode(base));
  return std::optional(std::move(out));
}

Result<Unit> DeviceFloors::SaveBase(const Bytes& base) {
  const std::string json =
      WriteJson(JsonValue::Object({{"sallyport", "floors/v1"}, {"base", HexEncode(base)}}));
  return WriteFileAtomically(files_, path_, AsBytes(json));
}

Result<FloorCounts> DeviceFloors::Judge() {
  if (!base_) {
    SP_TRY(base_, LoadBase());
  }
  const bool known = base_.has_value();
  if (!known) SP_TRY(counters_.Make());
  SP_TRY(FloorReading reading, counters_.Read());
  if (known && reading.base != *base_)
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
  Result<FloorCounts> counts = Judge();
  if (counts) {
    status_ = {std::string(kFloorsHeld), "", FloorsOf(*counts)};
  } else {
    status_ = {std::string(counts.error().name()), counts.error().detail, {}};
  }
  return counts;
}

Result<ota::ManifestFloors> DeviceFloors::Floors() {
  const std::lock_guard lock(mutex_);
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
  const std::lock_guard lock(mutex_);
  SP_TRY(const FloorCounts held, ReadCounts());
  const uint64_t floor = At(held, FloorCounter::kRollbackIndex);
  if (rollback_index > floor && rollback_index - floor > ota::kFloorRaiseMax)
    return Error{Reason::kPolicyDenied, "the floor cannot be raised that far", "floor.jump"};
  if (anchors_) SP_TRY(RaiseAnchors(held, *anchors_));
  SP_TRY(RaiseTo(FloorCounter::kRollbackIndex, held, rollback_index, ota::kFloorRaiseMax));
  SP_TRY(ReadCounts());
  Log(LogLevel::kInfo, "floors_raised", {{"rollback_index", std::to_string(rollback_index)}});
  return Ok();
}

}  // namespace sallyport::device
