// The life of a set of reference values (architecture 8). Pure, compile-time checked.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace sallyport::server {

enum class ReferenceState : uint8_t { kLearning, kCandidate, kActive, kRetiring, kRetired };
inline constexpr std::array kReferenceStates = {
    ReferenceState::kLearning, ReferenceState::kCandidate, ReferenceState::kActive,
    ReferenceState::kRetiring, ReferenceState::kRetired};

enum class ReferenceEvent : uint8_t {
  kCaptured,    // learning ended: values exist, nobody has approved them
  kApproved,    // by signed approval, or by the signed release they came with
  kSuperseded,  // a newer set is active; devices that have not moved yet may still use this one
  kReinstated,  // the newer set was withdrawn
  kWithdrawn,   // refused, revoked, or no device needs it any more
};

struct ReferenceEdge {
  ReferenceState from;
  ReferenceEvent event;
  ReferenceState to;
};
inline constexpr ReferenceEdge kReferenceEdges[] = {
    {ReferenceState::kLearning, ReferenceEvent::kCaptured, ReferenceState::kCandidate},
    {ReferenceState::kLearning, ReferenceEvent::kWithdrawn, ReferenceState::kRetired},
    {ReferenceState::kCandidate, ReferenceEvent::kApproved, ReferenceState::kActive},
    {ReferenceState::kCandidate, ReferenceEvent::kWithdrawn, ReferenceState::kRetired},
    {ReferenceState::kActive, ReferenceEvent::kSuperseded, ReferenceState::kRetiring},
    {ReferenceState::kActive, ReferenceEvent::kWithdrawn, ReferenceState::kRetired},
    {ReferenceState::kRetiring, ReferenceEvent::kReinstated, ReferenceState::kActive},
    {ReferenceState::kRetiring, ReferenceEvent::kWithdrawn, ReferenceState::kRetired},
};

// NextReferenceState returns nullopt for an event that the state does not know: refuse and report.
constexpr std::optional<ReferenceState> NextReferenceState(ReferenceState from,
                                                           ReferenceEvent event) {
  for (const ReferenceEdge& edge : kReferenceEdges)
    if (edge.from == from && edge.event == event) return edge.to;
  return std::nullopt;
}

// MayJudge: whether a device may be judged under a set in this state. A candidate opens only for
// the devices a rollout assigned it to.
constexpr bool MayJudge(ReferenceState state, bool assigned_to_device) {
  return state == ReferenceState::kActive || state == ReferenceState::kRetiring ||
         (state == ReferenceState::kCandidate && assigned_to_device);
}

namespace internal {
constexpr bool Deterministic() {
  for (const ReferenceEdge& a : kReferenceEdges) {
    int same = 0;
    for (const ReferenceEdge& b : kReferenceEdges)
      same += a.from == b.from && a.event == b.event ? 1 : 0;
    if (same != 1) return false;
  }
  return true;
}
constexpr bool Reached(ReferenceState state) {
  if (state == ReferenceState::kLearning) return true;
  for (const ReferenceEdge& edge : kReferenceEdges)
    if (edge.to == state && edge.from != state) return true;
  return false;
}
constexpr bool EveryStateReached() {
  for (const ReferenceState state : kReferenceStates)
    if (!Reached(state)) return false;
  return true;
}
constexpr bool NothingLeaves(ReferenceState state) {
  for (const ReferenceEdge& edge : kReferenceEdges)
    if (edge.from == state) return false;
  return true;
}
}  // namespace internal
static_assert(internal::Deterministic() && internal::EveryStateReached());
static_assert(internal::NothingLeaves(ReferenceState::kRetired));
static_assert(!NextReferenceState(ReferenceState::kLearning, ReferenceEvent::kApproved),
              "nothing learned is active unread");

}  // namespace sallyport::server
