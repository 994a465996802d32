#include "ota/install/update_machine.h"

namespace sallyport::ota {
namespace {

using enum UpdateState;
using enum BootAction;

BootAction Judge(UpdateState state, Slot running, uint16_t attempt = 1,
                 std::optional<Slot> next = std::nullopt) {
  return JudgeBoot({state, Slot::kB, attempt, running, next});
}

TEST(JudgeBoot, LeavesSettledStatesAlone) {
  for (const UpdateState state : {kIdle, kFailed, kRolledBack, kDegraded})
    for (const Slot running : {Slot::kA, Slot::kB}) EXPECT_EQ(Judge(state, running), kNothing);
}

TEST(JudgeBoot, ResumesAnInstallationThatWasCut) {
  for (const UpdateState state : {kPlanned, kWriting, kWritten})
    EXPECT_EQ(Judge(state, Slot::kA), kResumeInstall);
}

TEST(JudgeBoot, AbandonsAnInstallationIntoTheRunningSlot) {
  for (const UpdateState state : {kPlanned, kWriting, kWritten})
    EXPECT_EQ(Judge(state, Slot::kB), kAbandon);
}

TEST(JudgeBoot, ArmsAVerifiedSlot) { EXPECT_EQ(Judge(kVerified, Slot::kA, 0), kArm); }

TEST(JudgeBoot, TakesARunningTargetForTheTrialEvenWhenArmingWasNotRecorded) {
  for (const UpdateState state : {kVerified, kArmed, kTrial})
    EXPECT_EQ(Judge(state, Slot::kB), kAwaitAttestation);
}

TEST(JudgeBoot, AsksForTheRebootThatIsStillMissing) {
  EXPECT_EQ(Judge(kArmed, Slot::kA, 1, Slot::kB), kReboot);
  EXPECT_EQ(Judge(kArmed, Slot::kA, kTrialAttemptsMax, Slot::kB), kReboot);
}

TEST(JudgeBoot, RetriesOnceAndThenRollsBack) {
  for (const UpdateState state : {kArmed, kTrial}) {
    EXPECT_EQ(Judge(state, Slot::kA, 1), kRetry);
    EXPECT_EQ(Judge(state, Slot::kA, kTrialAttemptsMax), kRollBack);
    EXPECT_EQ(Judge(state, Slot::kA, UINT16_MAX), kRollBack);
  }
}

TEST(JudgeBoot, DoesNotWaitForATargetThatLostItsKernelImage) {
  const auto judge = [](UpdateState state, Slot running, std::optional<Slot> next = std::nullopt,
                        uint16_t attempt = 1) {
    return JudgeBoot({state, Slot::kB, attempt, running, next, false});
  };
  EXPECT_EQ(judge(kVerified, Slot::kA), kAbandon);
  EXPECT_EQ(judge(kArmed, Slot::kA, Slot::kB), kAbandon);
  EXPECT_EQ(judge(kArmed, Slot::kA, Slot::kB, 2), kRollBack) << "it was tried already";
  EXPECT_EQ(judge(kArmed, Slot::kA), kRollBack) << "it may have been";
  EXPECT_EQ(judge(kTrial, Slot::kA), kRollBack);
  EXPECT_EQ(judge(kTrial, Slot::kB), kAwaitAttestation);
}

TEST(JudgeBoot, ReportsACommittedSlotThatDoesNotRun) {
  EXPECT_EQ(Judge(kCommitted, Slot::kB), kNothing);
  EXPECT_EQ(Judge(kCommitted, Slot::kA), kReportFallback);
}

}  // namespace
}  // namespace sallyport::ota
