#include "attestation-server/enrolment/floor_history.h"

#include <algorithm>

namespace sallyport::server {
namespace {

bool AnyBelow(const pki::FloorCounts& counts, const pki::FloorCounts& others) {
  for (size_t i = 0; i < counts.size(); ++i)
    if (counts[i] < others[i]) return true;
  return false;
}

pki::FloorCounts Highest(const pki::FloorCounts& counts, const pki::FloorCounts& others) {
  pki::FloorCounts out{};
  for (size_t i = 0; i < counts.size(); ++i) out[i] = std::max(counts[i], others[i]);
  return out;
}

std::string_view FindingOf(const FloorsRow& recorded, const CertifiedFloors& shown,
                           uint64_t generation) {
  if (AnyBelow(shown.counts, recorded.counts)) return kFloorsCountBack;
  if (!AnyBelow(shown.floors(), recorded.highest)) return "";
  // Nobody talks himself out of it by clearing the TPM afterwards.
  if (recorded.finding == kFloorsLowered) return kFloorsLowered;
  return generation > recorded.generation ? kFloorsCleared : kFloorsLowered;
}

}  // namespace

std::string ExplainFloors(std::string_view finding) {
  if (finding == kFloorsCountBack)
    return "the TPM counts less than it did: its state was put back from a copy; quarantine the "
           "device (device quarantine --cause clone) until it is known by whom";
  if (finding == kFloorsLowered)
    return "rollback floors are lower and the TPM was not cleared: somebody with its owner's "
           "rights "
           "made the counters anew; find out who, then on the device: sallyport-agent update "
           "adopt-floors";
  if (finding == kFloorsCleared)
    return "rollback floors are lower after TPM2_Clear; find out who cleared it, then on the "
           "device: sallyport-agent update adopt-floors";
  if (finding == kFloorsAbsent)
    return "the device showed rollback floors before and shows none now; see sallyport-agent "
           "update "
           "status on the device";
  return "";
}

std::optional<FloorsRow> UpdateFloors(const std::string& device_id,
                                      const std::optional<FloorsRow>& recorded,
                                      const std::optional<CertifiedFloors>& shown,
                                      uint64_t generation, UnixTime now) {
  if (!recorded && !shown) return std::nullopt;
  FloorsRow out = recorded.value_or(FloorsRow{});
  out.device_id = device_id;
  std::string_view finding = kFloorsAbsent;
  if (shown) {
    finding = recorded ? FindingOf(*recorded, *shown, generation) : "";
    out.floors = shown->floors();
    if (finding != kFloorsCountBack) {  // what a copy of an old state says is no record
      out.highest = Highest(out.highest, out.floors);
      out.counts = Highest(out.counts, shown->counts);
    }
    out.certified_at = now;
    if (finding.empty()) out.generation = generation;
  }
  if (finding.empty())
    out.finding_since = UnixTime{};
  else if (out.finding != finding)
    out.finding_since = now;
  out.finding = finding;
  return out;
}

}  // namespace sallyport::server
