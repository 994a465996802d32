// The identity of a device as a table (architecture 8). Posture and reachability are other axes.
// Pure.
#pragma once

#include <optional>

#include "attestation-server/store/vocabulary.h"

namespace sallyport::server {

enum class IdentityEvent : uint8_t {
  kApproved,     // an operator admits a pending device
  kPassed,       // evidence passed
  kFailed,       // authentic evidence failed
  kQuarantined,  // an operator, or a cause other than posture
  kCleared,      // the last cause of a quarantine is gone
  kRetired,
};

struct IdentityEdge {
  DeviceState from;
  IdentityEvent event;
  DeviceState to;
};

inline constexpr IdentityEdge kIdentityEdges[] = {
    {DeviceState::kPending, IdentityEvent::kApproved, DeviceState::kEnrolled},
    {DeviceState::kPending, IdentityEvent::kPassed, DeviceState::kPending},
    {DeviceState::kPending, IdentityEvent::kFailed, DeviceState::kPending},
    {DeviceState::kPending, IdentityEvent::kQuarantined, DeviceState::kQuarantined},
    {DeviceState::kPending, IdentityEvent::kRetired, DeviceState::kRetired},
    {DeviceState::kEnrolled, IdentityEvent::kPassed, DeviceState::kActive},
    {DeviceState::kEnrolled, IdentityEvent::kFailed, DeviceState::kQuarantined},
    {DeviceState::kEnrolled, IdentityEvent::kQuarantined, DeviceState::kQuarantined},
    {DeviceState::kEnrolled, IdentityEvent::kRetired, DeviceState::kRetired},
    {DeviceState::kActive, IdentityEvent::kPassed, DeviceState::kActive},
    {DeviceState::kActive, IdentityEvent::kFailed, DeviceState::kQuarantined},
    {DeviceState::kActive, IdentityEvent::kQuarantined, DeviceState::kQuarantined},
    {DeviceState::kActive, IdentityEvent::kRetired, DeviceState::kRetired},
    {DeviceState::kQuarantined, IdentityEvent::kFailed, DeviceState::kQuarantined},
    {DeviceState::kQuarantined, IdentityEvent::kQuarantined, DeviceState::kQuarantined},
    {DeviceState::kQuarantined, IdentityEvent::kCleared, DeviceState::kEnrolled},
    {DeviceState::kQuarantined, IdentityEvent::kRetired, DeviceState::kRetired},
};

// NextIdentity returns nullopt for a pair that is not in the table: refuse and report.
constexpr std::optional<DeviceState> NextIdentity(DeviceState from, IdentityEvent event) {
  for (const IdentityEdge& edge : kIdentityEdges)
    if (edge.from == from && edge.event == event) return edge.to;
  return std::nullopt;
}

constexpr bool IdentityTableIsDeterministic() {
  for (size_t i = 0; i < std::size(kIdentityEdges); ++i)
    for (size_t j = i + 1; j < std::size(kIdentityEdges); ++j)
      if (kIdentityEdges[i].from == kIdentityEdges[j].from &&
          kIdentityEdges[i].event == kIdentityEdges[j].event)
        return false;
  return true;
}
static_assert(IdentityTableIsDeterministic());
static_assert(!NextIdentity(DeviceState::kRetired, IdentityEvent::kPassed),
              "nothing leads out of retirement");
static_assert(!NextIdentity(DeviceState::kQuarantined, IdentityEvent::kPassed),
              "a pass alone clears no quarantine");

}  // namespace sallyport::server
