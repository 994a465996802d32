// The life of a rollout as a table, and what devices' reports mean for it. Pure; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sallyport::ota {

enum class RolloutState : uint8_t {
  kDraft,      // described, not yet approved
  kSigned,     // its release is signed and published
  kApproved,   // operators approved exactly this
  kScheduled,  // waits for its window
  kCanary,     // the canaries are assigned
  kRamp,       // the rest is assigned
  kBake,       // all done, watched for a while
  kComplete,
  kPaused,     // nobody new is assigned
  kHalted,     // stopped by itself: devices failed
  kReverting,  // devices go back to the release before
  kAborted,
};

enum class RolloutEvent : uint8_t {
  kPublished,
  kApproved,
  kDue,       // a scheduled rollout's window opened
  kAdvanced,  // an operator lets the rest begin
  kAllDone,
  kBaked,
  kFailing,  // too many devices failed, or the release was withdrawn
  kPause,
  kResume,  // goes back to where it was paused
  kAbort,
  kRevert,
  kReverted,
};

struct RolloutEdge {
  RolloutState from;
  RolloutEvent event;
  RolloutState to;
};

inline constexpr RolloutEdge kRolloutEdges[] = {
    {RolloutState::kDraft, RolloutEvent::kPublished, RolloutState::kSigned},
    {RolloutState::kDraft, RolloutEvent::kAbort, RolloutState::kAborted},
    {RolloutState::kSigned, RolloutEvent::kApproved, RolloutState::kApproved},
    {RolloutState::kSigned, RolloutEvent::kAbort, RolloutState::kAborted},
    {RolloutState::kApproved, RolloutEvent::kDue, RolloutState::kScheduled},
    {RolloutState::kApproved, RolloutEvent::kAbort, RolloutState::kAborted},
    {RolloutState::kScheduled, RolloutEvent::kDue, RolloutState::kCanary},
    {RolloutState::kScheduled, RolloutEvent::kAbort, RolloutState::kAborted},
    {RolloutState::kCanary, RolloutEvent::kAdvanced, RolloutState::kRamp},
    {RolloutState::kCanary, RolloutEvent::kFailing, RolloutState::kHalted},
    {RolloutState::kCanary, RolloutEvent::kPause, RolloutState::kPaused},
    {RolloutState::kCanary, RolloutEvent::kAbort, RolloutState::kAborted},
    {RolloutState::kRamp, RolloutEvent::kAllDone, RolloutState::kBake},
    {RolloutState::kRamp, RolloutEvent::kFailing, RolloutState::kHalted},
    {RolloutState::kRamp, RolloutEvent::kPause, RolloutState::kPaused},
    {RolloutState::kRamp, RolloutEvent::kAbort, RolloutState::kAborted},
    {RolloutState::kBake, RolloutEvent::kBaked, RolloutState::kComplete},
    {RolloutState::kBake, RolloutEvent::kFailing, RolloutState::kHalted},
    {RolloutState::kBake, RolloutEvent::kAbort, RolloutState::kAborted},
    {RolloutState::kPaused, RolloutEvent::kResume, RolloutState::kCanary},  // or kRamp: see Resumed
    {RolloutState::kPaused, RolloutEvent::kFailing, RolloutState::kHalted},
    {RolloutState::kPaused, RolloutEvent::kAbort, RolloutState::kAborted},
    {RolloutState::kHalted, RolloutEvent::kAbort, RolloutState::kAborted},
    {RolloutState::kHalted, RolloutEvent::kRevert, RolloutState::kReverting},
    {RolloutState::kReverting, RolloutEvent::kReverted, RolloutState::kAborted},
    {RolloutState::kReverting, RolloutEvent::kAbort, RolloutState::kAborted},
};

// Next returns nullopt for an event that is not allowed in `state`.
constexpr std::optional<RolloutState> Next(RolloutState state, RolloutEvent event) {
  for (const RolloutEdge& edge : kRolloutEdges)
    if (edge.from == state && edge.event == event) return edge.to;
  return std::nullopt;
}

// Resumed is where a paused rollout goes on: where it was.
constexpr std::optional<RolloutState> Resumed(RolloutState paused_in) {
  if (paused_in == RolloutState::kCanary || paused_in == RolloutState::kRamp) return paused_in;
  return std::nullopt;
}

std::string_view RolloutStateName(RolloutState state);
std::optional<RolloutState> RolloutStateFromName(std::string_view name);
std::string_view RolloutEventName(RolloutEvent event);

// DescribeRollout writes the table as Markdown; docs/protocol.md holds its output and a test
// compares.
std::string DescribeRollout();

// DeviceProgress is what one device last reported. `percent` is 0..100 of its own update.
struct DeviceProgress {
  bool canary = false;
  bool assigned = false;
  bool committed = false;
  bool failed = false;  // FAILED, ROLLED_BACK or DEGRADED
  uint32_t percent = 0;
};

struct RolloutProgress {
  uint32_t total = 0;
  uint32_t done = 0;
  uint32_t failed = 0;
  uint32_t canaries = 0;
  uint32_t canary_left = 0;  // neither committed nor failed
  uint32_t canary_failed = 0;
  uint32_t percent = 0;  // of the whole rollout
};
RolloutProgress Summarise(std::span<const DeviceProgress> devices);

// One failed canary stops a rollout; of the rest, more than a fifth and at least two.
inline constexpr uint32_t kFailedShareMaxPercent = 20;
inline constexpr uint32_t kFailedMin = 2;

// Consider says what the reports demand: kFailing, kAllDone (every device committed or failed
// within the limits), or nothing.
std::optional<RolloutEvent> Consider(RolloutState state, const RolloutProgress& progress);

constexpr bool Deterministic(std::span<const RolloutEdge> edges) {
  for (size_t i = 0; i < edges.size(); ++i)
    for (size_t k = i + 1; k < edges.size(); ++k)
      if (edges[i].from == edges[k].from && edges[i].event == edges[k].event) return false;
  return true;
}
static_assert(Deterministic(kRolloutEdges));
static_assert(!Next(RolloutState::kDraft, RolloutEvent::kAdvanced).has_value());
static_assert(!Next(RolloutState::kHalted, RolloutEvent::kResume).has_value());
static_assert(!Next(RolloutState::kComplete, RolloutEvent::kAbort).has_value());

}  // namespace sallyport::ota
