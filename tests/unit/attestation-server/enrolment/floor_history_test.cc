#include "attestation-server/enrolment/floor_history.h"

#include <gtest/gtest.h>

namespace sallyport::server {
namespace {

constexpr UnixTime kNow{1'800'000'000'000};
constexpr pki::FloorCounts kBase{100, 100, 100, 100, 100};

class FloorHistoryTest : public testing::Test {
 protected:
  // Show is one boot; returns the finding.
  std::string Show(const std::optional<CertifiedFloors>& shown, uint64_t generation = 0) {
    now_ = now_ + Hours(1);
    row_ = UpdateFloors("d1", row_, shown, generation, now_);
    return row_ ? row_->finding : "no row";
  }
  std::optional<FloorsRow> row_;
  UnixTime now_ = kNow;
};

TEST_F(FloorHistoryTest, ADeviceThatNeverShowedFloorsHasNoRecord) {
  EXPECT_EQ(Show(std::nullopt), "no row");
}

TEST_F(FloorHistoryTest, RisingFloorsAreRecorded) {
  EXPECT_EQ(Show(CertifiedFloors{kBase, {101, 100, 100, 100, 100}}), "");
  EXPECT_EQ(Show(CertifiedFloors{kBase, {102, 105, 100, 100, 100}}), "");
  EXPECT_EQ(row_->floors, (pki::FloorCounts{2, 5, 0, 0, 0}));
  EXPECT_EQ(row_->highest, row_->floors);
  EXPECT_EQ(row_->certified_at, now_);
  EXPECT_EQ(row_->device_id, "d1");
}

TEST_F(FloorHistoryTest, FloorsThatAreNoLongerShownAreAFindingUntilTheyAre) {
  const CertifiedFloors whole{kBase, {101, 100, 100, 100, 100}};
  Show(whole);
  const UnixTime shown_at = now_;
  EXPECT_EQ(Show(std::nullopt), "floors.absent");
  EXPECT_EQ(row_->certified_at, shown_at);
  const UnixTime since = now_;
  EXPECT_EQ(Show(std::nullopt), "floors.absent");
  EXPECT_EQ(row_->finding_since, since);
  EXPECT_EQ(Show(whole), "");
  EXPECT_EQ(row_->finding_since, UnixTime{});
}

TEST_F(FloorHistoryTest, CountersMadeAnewAreLoweredOrAfterAClearCleared) {
  Show(CertifiedFloors{kBase, {101, 100, 100, 100, 100}});
  const std::optional<FloorsRow> before = row_;
  const CertifiedFloors anew{{102, 103, 104, 105, 106}, {102, 103, 104, 105, 106}};
  EXPECT_EQ(Show(anew), "floors.lowered");
  EXPECT_EQ(row_->highest, before->highest);
  EXPECT_EQ(Show(anew, 1), "floors.lowered") << "a clear afterwards does not excuse it";
  row_ = before;
  EXPECT_EQ(Show(anew, 1), "floors.cleared");
  EXPECT_EQ(Show(anew, 1), "floors.cleared") << "in the boots after it too";
}

TEST_F(FloorHistoryTest, AdoptedFloorsEndTheFinding) {
  Show(CertifiedFloors{kBase, {101, 100, 100, 100, 100}});
  const CertifiedFloors anew{{102, 103, 104, 105, 106}, {102, 103, 104, 105, 106}};
  Show(anew, 1);
  EXPECT_EQ(Show(CertifiedFloors{{101, 103, 104, 105, 106}, {102, 103, 104, 105, 106}}, 1), "");
  EXPECT_EQ(row_->generation, 1u);
}

TEST_F(FloorHistoryTest, CountsThatFallAreTheGravest) {
  Show(CertifiedFloors{kBase, {105, 100, 100, 100, 100}});
  EXPECT_EQ(Show(CertifiedFloors{kBase, {104, 100, 100, 100, 100}}), "floors.count-back");
  EXPECT_EQ(Show(CertifiedFloors{kBase, {104, 100, 100, 100, 100}}, 1), "floors.count-back")
      << "not even TPM2_Clear lowers a count";
  EXPECT_EQ(Show(CertifiedFloors{{90, 90, 90, 90, 90}, {104, 100, 100, 100, 100}}, 1),
            "floors.count-back")
      << "whatever the base says";
  EXPECT_EQ(Show(CertifiedFloors{kBase, {105, 100, 100, 100, 100}}), "");
}

TEST_F(FloorHistoryTest, EveryFindingSaysWhatToDo) {
  for (const std::string_view finding :
       {kFloorsCountBack, kFloorsLowered, kFloorsCleared, kFloorsAbsent})
    EXPECT_FALSE(ExplainFloors(finding).empty());
  EXPECT_EQ(ExplainFloors(""), "");
}

}  // namespace
}  // namespace sallyport::server
