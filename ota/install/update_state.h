// The life of one update on a device as a table (architecture 8). The names are those of the
// update report and of docs/protocol.md; DescribeUpdateStates writes the documentation from the
// same table.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::ota {

// The values are those of the update record on disk.
enum class UpdateState : uint8_t {
  kIdle = 0,
  kPlanned = 1,     // a release was chosen; the target slot is still as it was
  kWriting = 2,     // the target slot cannot be booted; its content is unfinished
  kWritten = 3,     // every byte is durable
  kVerified = 4,    // read back, kernel image in place: the slot could be booted
  kArmed = 5,       // the firmware will boot the target once
  kTrial = 6,       // the target runs and must prove itself
  kCommitted = 7,   // the target is the default
  kFailed = 8,      // not finished; the running slot is untouched
  kRolledBack = 9,  // tried, refused, remembered
  kDegraded = 10,   // and the slot it went back to does not prove itself either: it stays up
};
inline constexpr size_t kUpdateStateCount = 11;

enum class UpdateEvent : uint8_t {
  kPlan,           // a verified release for this device
  kDisarm,         // the target slot was taken out of the boot order
  kCheckpoint,     // more of the image is durable
  kFinishWrite,    // all of it is
  kReadBack,       // slot and kernel image read back as signed
  kArm,            // BootNext names the target
  kBootTarget,     // running from the target slot
  kAttest,         // the server accepted the evidence of this boot
  kCommitLocally,  // nobody judged it, its health is good, and a signed bundle asks for no more
  kFallBack,       // running from the old slot again with no try left, or the boot was refused
  kDegrade,        // the slot it went back to fails its health gate, too
  kRecover,        // or passes it at last
  kFail,           // an error that trying again would not cure by itself
};

constexpr std::string_view StateName(UpdateState state) {
  switch (state) {
    case UpdateState::kIdle: return "IDLE";
    case UpdateState::kPlanned: return "PLANNED";
    case UpdateState::kWriting: return "WRITING";
    case UpdateState::kWritten: return "WRITTEN";
    case UpdateState::kVerified: return "VERIFIED";
    case UpdateState::kArmed: return "ARMED";
    case UpdateState::kTrial: return "TRIAL";
    case UpdateState::kCommitted: return "COMMITTED";
    case UpdateState::kFailed: return "FAILED";
    case UpdateState::kRolledBack: return "ROLLED_BACK";
    case UpdateState::kDegraded: return "DEGRADED";
  }
  std::abort();
}

constexpr std::string_view EventName(UpdateEvent event) {
  switch (event) {
    case UpdateEvent::kPlan: return "plan";
    case UpdateEvent::kDisarm: return "disarm";
    case UpdateEvent::kCheckpoint: return "checkpoint";
    case UpdateEvent::kFinishWrite: return "finish-write";
    case UpdateEvent::kReadBack: return "read-back";
    case UpdateEvent::kArm: return "arm";
    case UpdateEvent::kBootTarget: return "boot-target";
    case UpdateEvent::kAttest: return "attest";
    case UpdateEvent::kCommitLocally: return "commit-locally";
    case UpdateEvent::kFallBack: return "fall-back";
    case UpdateEvent::kDegrade: return "degrade";
    case UpdateEvent::kRecover: return "recover";
    case UpdateEvent::kFail: return "fail";
  }
  std::abort();
}

struct UpdateEdge {
  UpdateState from;
  UpdateEvent event;
  UpdateState to;
};

inline constexpr std::array kUpdateEdges = {
    UpdateEdge{UpdateState::kIdle, UpdateEvent::kPlan, UpdateState::kPlanned},
    UpdateEdge{UpdateState::kCommitted, UpdateEvent::kPlan, UpdateState::kPlanned},
    UpdateEdge{UpdateState::kFailed, UpdateEvent::kPlan, UpdateState::kPlanned},
    UpdateEdge{UpdateState::kRolledBack, UpdateEvent::kPlan, UpdateState::kPlanned},
    // Only what somebody brought: a degraded device installs nothing on its own.
    UpdateEdge{UpdateState::kDegraded, UpdateEvent::kPlan, UpdateState::kPlanned},
    // Another release may supersede one that has not been tried.
    UpdateEdge{UpdateState::kPlanned, UpdateEvent::kPlan, UpdateState::kPlanned},
    UpdateEdge{UpdateState::kWriting, UpdateEvent::kPlan, UpdateState::kPlanned},
    UpdateEdge{UpdateState::kWritten, UpdateEvent::kPlan, UpdateState::kPlanned},
    UpdateEdge{UpdateState::kVerified, UpdateEvent::kPlan, UpdateState::kPlanned},
    UpdateEdge{UpdateState::kArmed, UpdateEvent::kPlan, UpdateState::kPlanned},
    UpdateEdge{UpdateState::kPlanned, UpdateEvent::kDisarm, UpdateState::kWriting},
    UpdateEdge{UpdateState::kWriting, UpdateEvent::kCheckpoint, UpdateState::kWriting},
    UpdateEdge{UpdateState::kWriting, UpdateEvent::kFinishWrite, UpdateState::kWritten},
    UpdateEdge{UpdateState::kWritten, UpdateEvent::kReadBack, UpdateState::kVerified},
    UpdateEdge{UpdateState::kVerified, UpdateEvent::kArm, UpdateState::kArmed},
    // Power failed between BootNext and the record that says so.
    UpdateEdge{UpdateState::kVerified, UpdateEvent::kBootTarget, UpdateState::kTrial},
    UpdateEdge{UpdateState::kArmed, UpdateEvent::kBootTarget, UpdateState::kTrial},
    UpdateEdge{UpdateState::kTrial, UpdateEvent::kBootTarget, UpdateState::kTrial},
    UpdateEdge{UpdateState::kTrial, UpdateEvent::kAttest, UpdateState::kCommitted},
    UpdateEdge{UpdateState::kTrial, UpdateEvent::kCommitLocally, UpdateState::kCommitted},
    // The target did not come up, and a try is left.
    UpdateEdge{UpdateState::kArmed, UpdateEvent::kArm, UpdateState::kArmed},
    UpdateEdge{UpdateState::kTrial, UpdateEvent::kArm, UpdateState::kArmed},
    UpdateEdge{UpdateState::kArmed, UpdateEvent::kFallBack, UpdateState::kRolledBack},
    UpdateEdge{UpdateState::kTrial, UpdateEvent::kFallBack, UpdateState::kRolledBack},
    UpdateEdge{UpdateState::kRolledBack, UpdateEvent::kDegrade, UpdateState::kDegraded},
    UpdateEdge{UpdateState::kDegraded, UpdateEvent::kRecover, UpdateState::kRolledBack},
    UpdateEdge{UpdateState::kPlanned, UpdateEvent::kFail, UpdateState::kFailed},
    UpdateEdge{UpdateState::kWriting, UpdateEvent::kFail, UpdateState::kFailed},
    UpdateEdge{UpdateState::kWritten, UpdateEvent::kFail, UpdateState::kFailed},
    UpdateEdge{UpdateState::kVerified, UpdateEvent::kFail, UpdateState::kFailed},
    // Called off before the reboot.
    UpdateEdge{UpdateState::kArmed, UpdateEvent::kFail, UpdateState::kFailed},
};

// Next is total: nullopt for a pair that is not in the table, which callers refuse and report.
constexpr std::optional<UpdateState> Next(UpdateState from, UpdateEvent event) {
  for (const UpdateEdge& edge : kUpdateEdges)
    if (edge.from == from && edge.event == event) return edge.to;
  return std::nullopt;
}

// DescribeUpdateStates renders the table in Markdown for docs/protocol.md.
std::string DescribeUpdateStates();

namespace internal {

constexpr bool Deterministic() {
  for (size_t i = 0; i < kUpdateEdges.size(); ++i)
    for (size_t j = i + 1; j < kUpdateEdges.size(); ++j)
      if (kUpdateEdges[i].from == kUpdateEdges[j].from &&
          kUpdateEdges[i].event == kUpdateEdges[j].event)
        return false;
  return true;
}

constexpr bool EveryStateReachable() {
  std::array<bool, kUpdateStateCount> reached{true};
  for (size_t round = 0; round < kUpdateStateCount; ++round)
    for (const UpdateEdge& edge : kUpdateEdges)
      if (reached[static_cast<size_t>(edge.from)]) reached[static_cast<size_t>(edge.to)] = true;
  for (const bool state : reached)
    if (!state) return false;
  return true;
}

// Only the event `by`, or `also`, leads into `state`.
constexpr bool EnteredOnlyBy(UpdateState state, UpdateEvent by,
                             std::optional<UpdateEvent> also = std::nullopt) {
  for (const UpdateEdge& edge : kUpdateEdges)
    if (edge.to == state && edge.event != by && edge.event != also) return false;
  return true;
}

}  // namespace internal

static_assert(internal::Deterministic());
static_assert(internal::EveryStateReachable());
static_assert(internal::EnteredOnlyBy(UpdateState::kCommitted, UpdateEvent::kAttest,
                                      UpdateEvent::kCommitLocally));
static_assert(internal::EnteredOnlyBy(UpdateState::kRolledBack, UpdateEvent::kFallBack,
                                      UpdateEvent::kRecover));
static_assert(internal::EnteredOnlyBy(UpdateState::kDegraded, UpdateEvent::kDegrade));
static_assert(!Next(UpdateState::kDegraded, UpdateEvent::kFallBack) &&
              !Next(UpdateState::kRolledBack, UpdateEvent::kFallBack));
static_assert(internal::EnteredOnlyBy(UpdateState::kVerified, UpdateEvent::kReadBack));
static_assert(!Next(UpdateState::kWriting, UpdateEvent::kArm) &&
              !Next(UpdateState::kWritten, UpdateEvent::kArm));
static_assert(!Next(UpdateState::kArmed, UpdateEvent::kAttest) &&
              !Next(UpdateState::kArmed, UpdateEvent::kCommitLocally));
static_assert(!Next(UpdateState::kTrial, UpdateEvent::kPlan));

}  // namespace sallyport::ota
