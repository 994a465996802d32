#include "attestation-server/reference/life_cycle.h"

#include <gtest/gtest.h>

namespace sallyport::server {
namespace {

TEST(ReferenceLifeCycle, GoesFromLearningToRetired) {
  EXPECT_EQ(NextReferenceState(ReferenceState::kLearning, ReferenceEvent::kCaptured),
            ReferenceState::kCandidate);
  EXPECT_EQ(NextReferenceState(ReferenceState::kCandidate, ReferenceEvent::kApproved),
            ReferenceState::kActive);
  EXPECT_EQ(NextReferenceState(ReferenceState::kActive, ReferenceEvent::kSuperseded),
            ReferenceState::kRetiring);
  EXPECT_EQ(NextReferenceState(ReferenceState::kRetiring, ReferenceEvent::kWithdrawn),
            ReferenceState::kRetired);
}

TEST(ReferenceLifeCycle, NeverSkipsApprovalAndNeverRevives) {
  EXPECT_EQ(NextReferenceState(ReferenceState::kLearning, ReferenceEvent::kApproved), std::nullopt);
  EXPECT_EQ(NextReferenceState(ReferenceState::kRetired, ReferenceEvent::kReinstated),
            std::nullopt);
  EXPECT_EQ(NextReferenceState(ReferenceState::kRetired, ReferenceEvent::kApproved), std::nullopt);
}

TEST(ReferenceLifeCycle, OpensACandidateOnlyForAssignedDevices) {
  EXPECT_TRUE(MayJudge(ReferenceState::kCandidate, true));
  EXPECT_FALSE(MayJudge(ReferenceState::kCandidate, false));
  EXPECT_TRUE(MayJudge(ReferenceState::kActive, false));
  EXPECT_TRUE(MayJudge(ReferenceState::kRetiring, false));
  EXPECT_FALSE(MayJudge(ReferenceState::kLearning, true));
  EXPECT_FALSE(MayJudge(ReferenceState::kRetired, true));
}

}  // namespace
}  // namespace sallyport::server
