#include "ota/rollout/rollout.h"

#include "pki/base/file_system.h"

namespace sallyport::ota {
namespace {

DeviceProgress Canary(bool committed, bool failed) { return {true, true, committed, failed, 0}; }
DeviceProgress Rest(bool committed, bool failed) { return {false, true, committed, failed, 0}; }

TEST(RolloutTable, NothingReachesTheFleetWithoutApprovalAndCanaries) {
  for (const RolloutEdge& edge : kRolloutEdges) {
    EXPECT_TRUE(edge.to != RolloutState::kRamp || edge.from == RolloutState::kCanary);
    EXPECT_TRUE(edge.to != RolloutState::kScheduled || edge.from == RolloutState::kApproved);
  }
}

TEST(RolloutTable, EveryRunningStateCanBeAborted) {
  for (const RolloutState state :
       {RolloutState::kDraft, RolloutState::kSigned, RolloutState::kApproved,
        RolloutState::kScheduled, RolloutState::kCanary, RolloutState::kRamp, RolloutState::kBake,
        RolloutState::kPaused, RolloutState::kHalted, RolloutState::kReverting})
    EXPECT_EQ(Next(state, RolloutEvent::kAbort), RolloutState::kAborted) << RolloutStateName(state);
}

TEST(RolloutTable, NamesRoundTrip) {
  for (size_t i = 0; i < 12; ++i) {
    const auto state = static_cast<RolloutState>(i);
    EXPECT_EQ(RolloutStateFromName(RolloutStateName(state)), state);
  }
  EXPECT_EQ(RolloutStateFromName("running"), std::nullopt);
}

TEST(RolloutTable, APausedRolloutGoesOnWhereItWas) {
  EXPECT_EQ(Resumed(RolloutState::kRamp), RolloutState::kRamp);
  EXPECT_EQ(Resumed(RolloutState::kCanary), RolloutState::kCanary);
  EXPECT_EQ(Resumed(RolloutState::kHalted), std::nullopt);
}

TEST(Consider, OneFailedCanaryStopsTheRollout) {
  const DeviceProgress devices[] = {Canary(false, true), Rest(false, false), Rest(false, false)};
  EXPECT_EQ(Consider(RolloutState::kCanary, Summarise(devices)), RolloutEvent::kFailing);
}

TEST(Consider, CommittedCanariesWaitForAnOperator) {
  const DeviceProgress devices[] = {Canary(true, false), Rest(false, false)};
  EXPECT_EQ(Consider(RolloutState::kCanary, Summarise(devices)), std::nullopt);
}

TEST(Consider, StopsWhenMoreThanAFifthFailed) {
  std::vector<DeviceProgress> devices(10, Rest(true, false));
  devices[0] = Rest(false, true);
  devices[1] = Rest(false, true);
  EXPECT_EQ(Consider(RolloutState::kRamp, Summarise(devices)), RolloutEvent::kAllDone);
  devices[2] = Rest(false, true);
  EXPECT_EQ(Consider(RolloutState::kRamp, Summarise(devices)), RolloutEvent::kFailing);
}

TEST(Consider, IsDoneOnlyWhenEveryDeviceHasEnded) {
  std::vector<DeviceProgress> devices(3, Rest(true, false));
  EXPECT_EQ(Consider(RolloutState::kRamp, Summarise(devices)), RolloutEvent::kAllDone);
  devices[1] = Rest(false, false);
  EXPECT_EQ(Consider(RolloutState::kRamp, Summarise(devices)), std::nullopt);
}

TEST(Consider, SaysNothingOfARolloutThatDoesNotRun) {
  const DeviceProgress devices[] = {Canary(false, true)};
  for (const RolloutState state : {RolloutState::kDraft, RolloutState::kApproved,
                                   RolloutState::kComplete, RolloutState::kAborted})
    EXPECT_EQ(Consider(state, Summarise(devices)), std::nullopt);
}

TEST(Summarise, CountsPercentOfTheWhole) {
  const DeviceProgress devices[] = {
      Canary(true, false), {false, true, false, false, 50}, {false, false, false, false, 0}};
  const RolloutProgress progress = Summarise(devices);

  EXPECT_EQ(progress.percent, 50u);
  EXPECT_EQ(progress.total, 3u);
  EXPECT_EQ(progress.done, 1u);
  EXPECT_EQ(progress.canary_left, 0u);
}

TEST(RolloutTable, IsTheOneOfTheProtocolDocument) {
  PosixFileSystem files;
  const Bytes document = *ReadFile(files, SALLYPORT_SOURCE_DIR "/docs/protocol.md", 1 << 20);

  EXPECT_NE(AsText(document).find(DescribeRollout()), std::string_view::npos);
}

}  // namespace
}  // namespace sallyport::ota
