#include "device-client/update/update_driver.h"

#include "tests/fakes/fake_clock.h"
#include "tests/fakes/install_plan_for_test.h"
#include "tests/fakes/update_world.h"

namespace sallyport::device {
namespace {

using ota::Slot;
using ota::TrialOutcome;

const TestRelease kOld = MakeTestRelease("1.0.0", 1);
const TestRelease kNew = MakeTestRelease("2.0.0", 2);

// As a bundle's plan that says `commit: local`.
const ota::InstallPlan kAlone =
    ota::InstallPlanForTest::Make(kNew.plan.facts(), ota::LocalCommit::kAllowed);

class CountingRebooter final : public Rebooter {
 public:
  Result<Unit> Reboot() override {
    ++asked;
    return Unit{};
  }
  int asked = 0;
};

class HighFloor final : public ota::MonotonicFloor {
  Result<uint64_t> Read() override { return 7; }
  Result<Unit> Raise(uint64_t) override { return Unit{}; }
};

class UpdateDriverTest : public ::testing::Test {
 protected:
  UpdateDriverTest() {
    world_.AddRelease(kNew);
    Start();
  }
  // Start is a new agent process in this boot.
  void Start() {
    driver_.emplace(
        UpdateDriverParts{installer_, source_, rebooter_, clock_,
                          [this](const UpdateReport& report) { reports_.push_back(report); },
                          [this] {
                            ++asked_;
                            return health_;
                          }});
  }
  // Restart boots and starts the agent, and says what the driver waits for.
  UpdateStep Restart(Slot expected) {
    EXPECT_EQ(world_.PowerOn(PowerLoss::kNothing), expected);
    Start();
    return *driver_->Boot();
  }
  void ToTrial() {
    ASSERT_EQ(*driver_->Boot(), UpdateStep::kSettled);
    ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kRebooting);
    ASSERT_EQ(Restart(Slot::kB), UpdateStep::kTrial);
  }
  std::string LastReport() {
    const UpdateReport& last = reports_.back();
    return last.state + " " + last.slot + (last.gate.empty() ? "" : " " + last.gate);
  }

  UpdateWorld world_{kOld};
  ota::Installer installer_ = world_.MakeInstaller();
  ReleaseSource source_{kNew};
  CountingRebooter rebooter_;
  FakeClock clock_{UnixTime::FromSeconds(1'800'000'000)};
  std::vector<UpdateReport> reports_;
  Result<Unit> health_ = Unit{};
  int asked_ = 0;
  std::optional<UpdateDriver> driver_;
};

TEST_F(UpdateDriverTest, CommitsAfterTheNewBootWasAttested) {
  ToTrial();
  EXPECT_EQ(LastReport(), "TRIAL B");
  EXPECT_EQ(world_.BootOrder(), "A") << "nothing is decided before the attestation";

  EXPECT_EQ(*driver_->Judged(TrialOutcome::kAccepted, &kNew.plan), UpdateStep::kSettled);

  EXPECT_EQ(LastReport(), "COMMITTED B");
  EXPECT_EQ(world_.BootOrder(), "BA");
  EXPECT_EQ(rebooter_.asked, 1);
  EXPECT_EQ(Restart(Slot::kB), UpdateStep::kSettled);
}

TEST_F(UpdateDriverTest, ReportsStatesAndRisingPercents) {
  ToTrial();

  std::vector<std::string> states;
  unsigned percent = 0;
  for (const UpdateReport& report : reports_) {
    if (states.empty() || states.back() != report.state) states.push_back(report.state);
    if (report.state != "WRITING") continue;
    EXPECT_GE(report.percent, percent);
    EXPECT_LE(report.percent, 100u);
    EXPECT_EQ(report.release, kNew.plan.facts().release);
    percent = report.percent;
  }
  EXPECT_EQ(states, (std::vector<std::string>{"IDLE", "WRITING", "VERIFIED", "ARMED", "TRIAL"}));
  EXPECT_GT(percent, 50u);
}

TEST_F(UpdateDriverTest, GoesBackWhenTheServerRefusesTheNewBoot) {
  ToTrial();

  EXPECT_EQ(*driver_->Judged(TrialOutcome::kRefused, nullptr), UpdateStep::kRebooting);

  EXPECT_EQ(LastReport(), "ROLLED_BACK B attestation");
  EXPECT_EQ(rebooter_.asked, 2);
  EXPECT_EQ(Restart(Slot::kA), UpdateStep::kSettled);
  EXPECT_EQ(driver_->Assign(kNew.plan).error().rule, "install.failed-before");
}

TEST_F(UpdateDriverTest, GoesBackWhenNobodyJudgesTheNewBootInTime) {
  ToTrial();
  clock_.Advance(Duration{kTrialTimeout.ms - 1});
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kTrial);

  clock_.Advance(Milliseconds(1));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);

  EXPECT_EQ(LastReport(), "ROLLED_BACK B health-timeout");
  EXPECT_EQ(Restart(Slot::kA), UpdateStep::kSettled);
}

TEST_F(UpdateDriverTest, CommitsByItselfAtTheEndOfATrialThatNobodyJudged) {
  ToTrial();
  EXPECT_EQ(*driver_->Tick(&kAlone), UpdateStep::kTrial);
  EXPECT_EQ(asked_, 0) << "the server has until the end of the trial";
  clock_.Advance(kTrialTimeout);

  EXPECT_EQ(*driver_->Tick(&kAlone), UpdateStep::kSettled);

  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(LastReport(), "COMMITTED B");
  EXPECT_EQ(world_.BootOrder(), "BA");
  EXPECT_EQ(Restart(Slot::kB), UpdateStep::kSettled);
}

TEST_F(UpdateDriverTest, GoesBackWhenTheBootThatNobodyJudgedIsNotHealthy) {
  ToTrial();
  health_ = Error{Reason::kUnavailable, "the TPM does not answer", "tpm.gone"};
  clock_.Advance(kTrialTimeout);

  EXPECT_EQ(*driver_->Tick(&kAlone), UpdateStep::kRebooting);

  EXPECT_EQ(LastReport(), "ROLLED_BACK B health");
  EXPECT_NE(reports_.back().detail.find("tpm.gone"), std::string::npos);
}

TEST_F(UpdateDriverTest, ARefusalOfTheServerCountsForAPlanThatMayCommitAloneToo) {
  ToTrial();
  EXPECT_EQ(*driver_->Judged(TrialOutcome::kRefused, &kAlone), UpdateStep::kRebooting);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B attestation");
}

TEST_F(UpdateDriverTest, CommitsNothingAloneThatItsPlanDoesNotAllow) {
  ToTrial();
  clock_.Advance(kTrialTimeout);
  EXPECT_EQ(*driver_->Tick(&kNew.plan), UpdateStep::kRebooting);
  EXPECT_EQ(asked_, 0);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B health-timeout");
}

TEST_F(UpdateDriverTest, TheWallClockDoesNotEndATrial) {
  ToTrial();
  clock_.JumpWall(UnixTime::FromSeconds(4'000'000'000));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kTrial);
}

TEST_F(UpdateDriverTest, TriesASlotTwiceThatDoesNotComeUp) {
  ASSERT_TRUE(driver_->Boot());
  ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kRebooting);
  ASSERT_EQ(world_.PowerOn(PowerLoss::kNothing), Slot::kB);  // and panics

  EXPECT_EQ(Restart(Slot::kA), UpdateStep::kRebooting);
  ASSERT_EQ(world_.PowerOn(PowerLoss::kNothing), Slot::kB);  // panics again
  EXPECT_EQ(Restart(Slot::kA), UpdateStep::kSettled);

  EXPECT_EQ(LastReport(), "ROLLED_BACK B boot");
  EXPECT_EQ(world_.BootOrder(), "A");
}

TEST_F(UpdateDriverTest, IgnoresVerdictsOutsideATrial) {
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(*driver_->Judged(TrialOutcome::kRefused, nullptr), UpdateStep::kSettled);
  EXPECT_EQ(*driver_->Judged(TrialOutcome::kAccepted, &kNew.plan), UpdateStep::kSettled);
  EXPECT_EQ(LastReport(), "IDLE A");
}

TEST_F(UpdateDriverTest, IgnoresAssignmentsDuringATrialAndWhileRebooting) {
  ASSERT_TRUE(driver_->Boot());
  ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kRebooting);
  EXPECT_EQ(*driver_->Assign(kOld.plan), UpdateStep::kRebooting);
  ASSERT_EQ(Restart(Slot::kB), UpdateStep::kTrial);
  EXPECT_EQ(*driver_->Assign(kOld.plan), UpdateStep::kTrial);
}

TEST_F(UpdateDriverTest, DoesNotRebootForTheReleaseThatRuns) {
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(*driver_->Assign(kOld.plan), UpdateStep::kSettled);
  EXPECT_EQ(rebooter_.asked, 0);
}

TEST_F(UpdateDriverTest, RebootsOnceMoreWhenTheAgentWasRestartedInstead) {
  ASSERT_TRUE(driver_->Boot());
  ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kRebooting);
  Start();
  EXPECT_EQ(*driver_->Boot(), UpdateStep::kRebooting);
  EXPECT_EQ(rebooter_.asked, 2);
}

TEST_F(UpdateDriverTest, ContinuesATrialAfterTheAgentWasRestarted) {
  ToTrial();
  Start();
  EXPECT_EQ(*driver_->Boot(), UpdateStep::kTrial);
  EXPECT_EQ(*driver_->Judged(TrialOutcome::kAccepted, nullptr), UpdateStep::kSettled);
  EXPECT_EQ(LastReport(), "COMMITTED B");
}

TEST_F(UpdateDriverTest, ReportsWhyAnInstallationFailed) {
  source_.File(kNew.plan.facts().payload.path)[0] ^= 1;
  ASSERT_TRUE(driver_->Boot());

  EXPECT_FALSE(driver_->Assign(kNew.plan));

  EXPECT_EQ(LastReport(), "FAILED B install");
  EXPECT_NE(reports_.back().detail.find("payload.data-digest"), std::string::npos);
}

// The record still holds the release before.
TEST_F(UpdateDriverTest, ReportsOnTheReleaseThatWasRefusedBeforeItWasBegun) {
  HighFloor floor;
  ota::Installer installer = world_.MakeInstaller(&floor);
  UpdateDriver driver({installer, source_, rebooter_, clock_,
                       [this](const UpdateReport& report) { reports_.push_back(report); }});
  ASSERT_EQ(*driver.Boot(), UpdateStep::kSettled);
  EXPECT_EQ(driver.Assign(kNew.plan).error().rule, "install.below-floor");
  EXPECT_EQ(reports_.back().state, "FAILED");
  EXPECT_EQ(reports_.back().gate, "install");
  EXPECT_EQ(reports_.back().release, kNew.plan.facts().release);
}

TEST_F(UpdateDriverTest, ReportsThatAnAssignedReleaseRunsAlready) {
  ToTrial();
  ASSERT_TRUE(driver_->Judged(TrialOutcome::kRefused, nullptr));
  ASSERT_EQ(Restart(Slot::kA), UpdateStep::kSettled);
  EXPECT_EQ(*driver_->Assign(kOld.plan), UpdateStep::kSettled);
  EXPECT_EQ(reports_.back().state, "COMMITTED");
  EXPECT_EQ(reports_.back().release, kOld.plan.facts().release);
}

TEST_F(UpdateDriverTest, ReportsThatTheFirmwareFellBackFromACommittedSlot) {
  ToTrial();
  ASSERT_TRUE(driver_->Judged(TrialOutcome::kAccepted, nullptr));
  ASSERT_TRUE(world_.files().Remove("esp/sallyport/b.efi"));

  EXPECT_EQ(Restart(Slot::kA), UpdateStep::kSettled);

  EXPECT_EQ(LastReport(), "COMMITTED B fallback");
}

}  // namespace
}  // namespace sallyport::device
