#include "ota/rollout/rollout.h"

#include <algorithm>

namespace sallyport::ota {
namespace {

constexpr std::array<std::string_view, 12> kStateNames{"draft",  "signed", "approved",  "scheduled",
                                                       "canary", "ramp",   "bake",      "complete",
                                                       "paused", "halted", "reverting", "aborted"};
constexpr std::array<std::string_view, 12> kEventNames{
    "published", "approved", "due",    "advanced", "all-done", "baked",
    "failing",   "pause",    "resume", "abort",    "revert",   "reverted"};

}  // namespace

std::string_view RolloutStateName(RolloutState state) {
  return kStateNames[static_cast<size_t>(state)];
}
std::string_view RolloutEventName(RolloutEvent event) {
  return kEventNames[static_cast<size_t>(event)];
}

std::optional<RolloutState> RolloutStateFromName(std::string_view name) {
  const auto found = std::ranges::find(kStateNames, name);
  if (found == kStateNames.end()) return std::nullopt;
  return static_cast<RolloutState>(found - kStateNames.begin());
}

std::string DescribeRollout() {
  std::string out = "| state | event | next |\n|---|---|---|\n";
  for (const RolloutEdge& edge : kRolloutEdges) {
    out += "| " + std::string(RolloutStateName(edge.from)) + " | " +
           std::string(RolloutEventName(edge.event)) + " | " +
           std::string(RolloutStateName(edge.to)) + " |\n";
  }
  return out;
}

RolloutProgress Summarise(std::span<const DeviceProgress> devices) {
  RolloutProgress out;
  uint64_t percent_sum = 0;
  for (const DeviceProgress& device : devices) {
    const bool ended = device.committed || device.failed;
    ++out.total;
    out.done += device.committed ? 1 : 0;
    out.failed += device.failed ? 1 : 0;
    out.canaries += device.canary ? 1 : 0;
    out.canary_left += device.canary && !ended ? 1 : 0;
    out.canary_failed += device.canary && device.failed ? 1 : 0;
    percent_sum += ended ? 100 : std::min<uint32_t>(device.percent, 99);
  }
  if (out.total > 0) out.percent = static_cast<uint32_t>(percent_sum / out.total);
  return out;
}

std::optional<RolloutEvent> Consider(RolloutState state, const RolloutProgress& progress) {
  const bool running = state == RolloutState::kCanary || state == RolloutState::kRamp ||
                       state == RolloutState::kBake || state == RolloutState::kPaused;
  if (!running) return std::nullopt;
  const bool too_many =
      progress.failed >= kFailedMin &&
      uint64_t{progress.failed} * 100 > uint64_t{progress.total} * kFailedShareMaxPercent;
  if (progress.canary_failed > 0 || too_many) return RolloutEvent::kFailing;
  if (state == RolloutState::kRamp && progress.done + progress.failed == progress.total)
    return RolloutEvent::kAllDone;
  return std::nullopt;
}

}  // namespace sallyport::ota
