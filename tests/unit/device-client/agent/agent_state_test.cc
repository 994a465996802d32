#include "device-client/agent/agent_state.h"

#include <gtest/gtest.h>

#include "tests/fakes/memory_file_system.h"

namespace sallyport::device {
namespace {

class AgentStateTest : public testing::Test {
 protected:
  Result<AgentState> LoadText(std::string_view text) {
    SP_CHECK(files_.MakeDirectories("/state").has_value());
    SP_CHECK(WriteFileAtomically(files_, "/state/agent.json", AsBytes(text)).has_value());
    return LoadState(files_, "/state");
  }
  MemoryFileSystem files_;
};

TEST_F(AgentStateTest, IsEmptyOnANewDevice) {
  const AgentState state = *LoadState(files_, "/state");

  EXPECT_EQ(state.device_id, "");
  EXPECT_EQ(state.epoch, 0u);
}

TEST_F(AgentStateTest, ComesBackAsItWasSaved) {
  ASSERT_TRUE(SaveState(files_, "/state", {"device", 7, UnixTime{1234}}).has_value());

  const AgentState state = *LoadState(files_, "/state");

  EXPECT_EQ(state.device_id, "device");
  EXPECT_EQ(state.epoch, 7u);
  EXPECT_EQ(state.last_signed_time, UnixTime{1234});
}

TEST_F(AgentStateTest, RefusesDamageInsteadOfStartingAnew) {
  EXPECT_EQ(LoadText("").error().reason, Reason::kMalformed);
  EXPECT_EQ(LoadText("{}").error().reason, Reason::kMalformed);
  EXPECT_FALSE(
      LoadText(
          R"({"sallyport":"agent-state/v2","device_id":"d","epoch":1,"last_signed_time_ms":1})")
          .has_value());
  EXPECT_FALSE(
      LoadText(
          R"({"sallyport":"agent-state/v1","device_id":"d","epoch":-1,"last_signed_time_ms":1})")
          .has_value());
  EXPECT_FALSE(
      LoadText(
          R"({"sallyport":"agent-state/v1","device_id":"d","epoch":1,"last_signed_time_ms":1,"x":1})")
          .has_value());
}

TEST_F(AgentStateTest, HoldsTheOldOrTheNewOneAfterAPowerCut) {
  for (const PowerLoss loss : {PowerLoss::kAll, PowerLoss::kOddSectors, PowerLoss::kDataOnly})
    for (uint64_t operations = 0;; ++operations) {
      MemoryFileSystem files;
      ASSERT_TRUE(SaveState(files, "/state", {"device", 7, UnixTime{1234}}));
      files.CutPowerAfter(operations);
      const bool saved = SaveState(files, "/state", {"device", 8, UnixTime{5678}}).has_value();
      files.Restart(loss);
      const auto held = LoadState(files, "/state");
      ASSERT_TRUE(held) << operations << ": " << held.error().ToString();
      EXPECT_TRUE(held->epoch == 8 || (!saved && held->epoch == 7)) << operations;
      EXPECT_EQ(held->last_signed_time, UnixTime{held->epoch == 8 ? 5678 : 1234});
      if (saved) break;
    }
}

}  // namespace
}  // namespace sallyport::device
