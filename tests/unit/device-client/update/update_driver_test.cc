#include "device-client/update/update_driver.h"

#include <cmath>

#include "tests/fakes/component_release.h"
#include "tests/fakes/fake_machine.h"
#include "tests/fakes/install_plan_for_test.h"
#include "tests/fakes/update_world.h"

namespace sallyport::device {
namespace {

using ota::Slot;

const TestRelease kOld = MakeTestRelease("1.0.0", 1);
const TestRelease kNew = MakeTestRelease("2.0.0", 2);

// The machine's clock stands at Friday 08:00 UTC.
ota::InstallPlan DueIn(Duration time) {
  ota::InstallFacts facts = kNew.plan.facts();
  facts.install_by = UnixTime::FromSeconds(1'800'000'000) + time;
  return ota::InstallPlanForTest::Make(std::move(facts));
}

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

// As a bundle's plan that says `commit: local`.
const ota::InstallPlan kAlone =
    ota::InstallPlanForTest::Make(kNew.plan.facts(), ota::LocalCommit::kAllowed);

class BrokenFloor final : public ota::MonotonicFloor {
  Result<uint64_t> Read() override { return 0; }
  Result<Unit> Raise(uint64_t) override { return Error{Reason::kUnavailable, "no TPM", "tpm"}; }
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
        machine_.Parts(installer_, source_, rebooter_,
                       [this](const UpdateReport& report) { reports_.push_back(report); }));
  }
  // Restart boots and starts the agent, and says what the driver waits for.
  UpdateStep Restart(Slot expected) {
    EXPECT_EQ(world_.PowerOn(PowerLoss::kNothing), expected);
    Start();
    return *driver_->Boot();
  }
  // Tick after the rest of the agent said all that it can.
  UpdateStep TickHealthy() {
    HearHealthy(*driver_, kNew.plan.facts().release);
    return *driver_->Tick();
  }
  UpdateStep TickRefused() {
    HearRefused(*driver_);
    return *driver_->Tick();
  }
  void ToTrial() {
    ASSERT_EQ(*driver_->Boot(), UpdateStep::kSettled);
    ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kRebooting);
    ASSERT_EQ(Restart(Slot::kB), UpdateStep::kTrial);
  }
  // ToTrialAlone is a trial of a bundle's plan in which no server is heard.
  void ToTrialAlone() {
    ToTrial();
    driver_->Hear({HealthCheck::kAgent, {HealthAnswer::kPassed, ""}, {}});
    ASSERT_EQ(*driver_->Assign(kAlone), UpdateStep::kTrial);
  }
  std::string LastReport() {
    const UpdateReport& last = reports_.back();
    return last.state + " " + last.slot + (last.gate.empty() ? "" : " " + last.gate);
  }

  UpdateWorld world_{kOld};
  ota::Installer installer_ = world_.MakeInstaller();
  ReleaseSource source_{kNew};
  CountingRebooter rebooter_;
  FakeMachine machine_;
  std::vector<UpdateReport> reports_;
  std::optional<UpdateDriver> driver_;
};

TEST_F(UpdateDriverTest, CommitsAfterTheNewBootWasAttested) {
  ToTrial();
  EXPECT_EQ(LastReport(), "TRIAL B");
  EXPECT_EQ(world_.BootOrder(), "A") << "nothing is decided before the attestation";

  EXPECT_EQ(TickHealthy(), UpdateStep::kSettled);

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

TEST_F(UpdateDriverTest, SaysWhereTheImageCameFromAlsoAfterTheReboot) {
  source_.BreakOffAfter(kNew.index.size() + kNew.payload.size() / 2);
  ASSERT_EQ(*driver_->Boot(), UpdateStep::kSettled);
  EXPECT_TRUE(reports_.back().origins.empty());
  EXPECT_FALSE(driver_->Assign(kNew.plan));
  const uint64_t first = reports_.back().origins[ota::Origin::kFull].bytes;
  EXPECT_GT(first, 0u);
  Start();
  ASSERT_EQ(*driver_->Boot(), UpdateStep::kSettled);
  source_.BreakOffAfter(UINT64_MAX);
  ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kRebooting);
  ASSERT_EQ(Restart(Slot::kB), UpdateStep::kTrial);
  EXPECT_GE(reports_.back().origins[ota::Origin::kFull].bytes, kNew.image.size());
  EXPECT_LE(reports_.back().origins[ota::Origin::kFull].bytes, kNew.image.size() + first);
  EXPECT_EQ(reports_.back().origins[ota::Origin::kDelta], ota::OriginCount());
}

TEST_F(UpdateDriverTest, GoesBackWhenTheServerRefusesTheNewBoot) {
  ToTrial();

  EXPECT_EQ(TickRefused(), UpdateStep::kRebooting);

  EXPECT_EQ(LastReport(), "ROLLED_BACK B attestation");
  EXPECT_EQ(rebooter_.asked, 2);
  EXPECT_EQ(Restart(Slot::kA), UpdateStep::kSettled);
  EXPECT_EQ(driver_->Assign(kNew.plan).error().rule, "install.failed-before");
}

// The capsule may have been lost to a power cut, so the slot gets its second try; not a third.
TEST_F(UpdateDriverTest, TriesOnceMoreWhenTheFirmwareDidNotTakeItsUpdate) {
  const TestRelease with = WithCapsule(kNew, 9);
  ota::Installer installer = world_.MakeInstaller(nullptr, &world_.firmware_update());
  ReleaseSource source(with);
  const auto start = [&](Slot expected) {
    EXPECT_EQ(world_.PowerOn(PowerLoss::kNothing), expected);
    driver_.emplace(
        machine_.Parts(installer, source, rebooter_,
                       [this](const UpdateReport& report) { reports_.push_back(report); }));
    return *driver_->Boot();
  };
  ASSERT_EQ(start(Slot::kA), UpdateStep::kSettled);
  ASSERT_EQ(*driver_->Assign(with.plan), UpdateStep::kRebooting);
  ASSERT_EQ(start(Slot::kB), UpdateStep::kTrial);
  EXPECT_EQ(TickHealthy(), UpdateStep::kRebooting);
  EXPECT_EQ(LastReport(), "TRIAL B commit");
  ASSERT_EQ(start(Slot::kA), UpdateStep::kRebooting);
  ASSERT_EQ(start(Slot::kB), UpdateStep::kTrial);
  EXPECT_EQ(TickHealthy(), UpdateStep::kRebooting);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B commit");
  EXPECT_EQ(start(Slot::kA), UpdateStep::kSettled);
  EXPECT_EQ(world_.firmware().Left(), "");
}

TEST_F(UpdateDriverTest, GoesBackWhenNobodyJudgesTheNewBootInTime) {
  ToTrial();
  machine_.clock.Advance(Duration{Minutes(10).ms - 1});
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kTrial);

  machine_.clock.Advance(Milliseconds(1));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);

  EXPECT_EQ(LastReport(), "ROLLED_BACK B agent");
  EXPECT_EQ(Restart(Slot::kA), UpdateStep::kSettled);
}

TEST_F(UpdateDriverTest, CommitsByItselfAtTheEndOfATrialThatNobodyJudged) {
  ToTrialAlone();
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kTrial);
  EXPECT_EQ(machine_.asked_alone, 0) << "the server has until the end of the trial";
  machine_.clock.Advance(machine_.checks().settings().health.timeout);

  EXPECT_EQ(*driver_->Tick(), UpdateStep::kSettled);

  EXPECT_EQ(machine_.asked_alone, 1);
  EXPECT_EQ(LastReport(), "COMMITTED B");
  EXPECT_EQ(world_.BootOrder(), "BA");
  EXPECT_EQ(Restart(Slot::kB), UpdateStep::kSettled);
}

TEST_F(UpdateDriverTest, GoesBackWhenTheBootThatNobodyJudgedIsNotHealthy) {
  ToTrialAlone();
  machine_.alone = Error{Reason::kUnavailable, "the TPM does not answer", "tpm.gone"};
  machine_.clock.Advance(machine_.checks().settings().health.timeout);

  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);

  EXPECT_EQ(LastReport(), "ROLLED_BACK B alone");
  EXPECT_NE(reports_.back().detail.find("tpm.gone"), std::string::npos);
}

TEST_F(UpdateDriverTest, ARefusalOfTheServerCountsForAPlanThatMayCommitAloneToo) {
  ToTrialAlone();
  EXPECT_EQ(TickRefused(), UpdateStep::kRebooting);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B attestation");
}

TEST_F(UpdateDriverTest, CommitsNothingAloneThatItsPlanDoesNotAllow) {
  ToTrialAlone();
  ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kTrial);  // the director's word for it
  machine_.clock.Advance(machine_.checks().settings().health.timeout);
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
  EXPECT_EQ(machine_.asked_alone, 0);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B stream");
}

TEST_F(UpdateDriverTest, TheWallClockDoesNotEndATrial) {
  ToTrial();
  machine_.clock.JumpWall(UnixTime::FromSeconds(4'000'000'000));
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
  EXPECT_EQ(TickRefused(), UpdateStep::kSettled);
  EXPECT_EQ(TickHealthy(), UpdateStep::kSettled);
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
  EXPECT_EQ(TickHealthy(), UpdateStep::kSettled);
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
  UpdateDriver driver(
      machine_.Parts(installer, source_, rebooter_,
                     [this](const UpdateReport& report) { reports_.push_back(report); }));
  ASSERT_EQ(*driver.Boot(), UpdateStep::kSettled);
  EXPECT_EQ(driver.Assign(kNew.plan).error().rule, "install.below-floor");
  EXPECT_EQ(reports_.back().state, "FAILED");
  EXPECT_EQ(reports_.back().gate, "install");
  EXPECT_EQ(reports_.back().release, kNew.plan.facts().release);
}

TEST_F(UpdateDriverTest, ReportsThatAnAssignedReleaseRunsAlready) {
  ToTrial();
  ASSERT_EQ(TickRefused(), UpdateStep::kRebooting);
  ASSERT_EQ(Restart(Slot::kA), UpdateStep::kSettled);
  EXPECT_EQ(*driver_->Assign(kOld.plan), UpdateStep::kSettled);
  EXPECT_EQ(reports_.back().state, "COMMITTED");
  EXPECT_EQ(reports_.back().release, kOld.plan.facts().release);
}

TEST_F(UpdateDriverTest, ReportsThatTheFirmwareFellBackFromACommittedSlot) {
  ToTrial();
  ASSERT_EQ(TickHealthy(), UpdateStep::kSettled);
  ASSERT_TRUE(world_.files().Remove("esp/sallyport/b.efi"));

  EXPECT_EQ(Restart(Slot::kA), UpdateStep::kSettled);

  EXPECT_EQ(LastReport(), "COMMITTED B fallback");
}

class MissingCheckTest : public UpdateDriverTest,
                         public ::testing::WithParamInterface<HealthCheck> {};

TEST_P(MissingCheckTest, KeepsTheTrialOpenUntilItPasses) {
  const HealthState passed{HealthAnswer::kPassed, ""};
  const ReleaseDigest release = kNew.plan.facts().release;
  ToTrial();
  HearHealthy(*driver_, release);
  driver_->Hear({GetParam(), {}, {}});
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kTrial);
  EXPECT_EQ(reports_.back().gate, HealthCheckName(GetParam()));
  EXPECT_EQ(world_.BootOrder(), "A");

  driver_->Hear({GetParam(), passed, release});
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kSettled);
}
INSTANTIATE_TEST_SUITE_P(Checks, MissingCheckTest,
                         ::testing::Values(HealthCheck::kAgent, HealthCheck::kStream,
                                           HealthCheck::kAttestation, HealthCheck::kCertificate));

TEST_F(UpdateDriverTest, DoesNotCommitABootThatWasAdmittedAsAnotherRelease) {
  ToTrial();
  HearHealthy(*driver_, kOld.plan.facts().release);
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kTrial);
  EXPECT_EQ(reports_.back().gate, "attestation");

  machine_.clock.Advance(Minutes(10));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B attestation");
}

class UpdateTrialTest : public UpdateDriverTest {
 protected:
  // Configure is what the owner wrote, read by a new agent process.
  void Configure(TrialSettings settings) {
    machine_.Configure(std::move(settings));
    Start();
  }
  static TrialSettings WithProbe() {
    TrialSettings settings;
    settings.health.probes.push_back({"web", {"/probe"}, "", Seconds(1)});
    return settings;
  }
};

TEST_F(UpdateTrialTest, RollsBackOnceByAProbeThatFailsAndSaysWhichAndWhatTheLogSaid) {
  TrialSettings settings = WithProbe();
  settings.previous_log = "log/boot";
  Configure(settings);
  machine_.runner.Fail("/probe", "no picture\x1b[2J\n");
  ToTrial();
  EXPECT_EQ(TickHealthy(), UpdateStep::kTrial) << "services need time to come up";
  machine_.clock.Advance(Minutes(10));
  ASSERT_TRUE(WriteFileAtomically(machine_.files, "log/boot", AsBytes("oops\npassword=hunter2\n")));

  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B probes");
  EXPECT_EQ(reports_.back().detail.find("web: "), 0u) << reports_.back().detail;
  EXPECT_NE(reports_.back().detail.find("no picture?[2J"), std::string::npos);
  EXPECT_EQ(reports_.back().log_tail, "") << "the log of this boot cannot be read yet";

  for (int start = 0; start < 2; ++start) {  // nobody may have heard it the first time
    EXPECT_EQ(Restart(Slot::kA), UpdateStep::kSettled);
    EXPECT_EQ(LastReport(), "ROLLED_BACK B probes");
    EXPECT_EQ(reports_.back().log_tail, "oops\n(line withheld)\n");
    ASSERT_TRUE(WriteFileAtomically(machine_.files, "log/boot", AsBytes("a later boot's")));
  }
  EXPECT_EQ(driver_->Assign(kNew.plan).error().rule, "install.failed-before");
}

TEST_F(UpdateTrialTest, CommitsWhenAProbeThatFailedPassesAtLast) {
  Configure(WithProbe());
  machine_.runner.Fail("/probe");
  ToTrial();
  EXPECT_EQ(TickHealthy(), UpdateStep::kTrial);
  machine_.runner.Succeed("/probe");
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kTrial) << "not asked again at once";
  machine_.clock.Advance(kAskEvery);
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kSettled);
  EXPECT_EQ(LastReport(), "COMMITTED B");
}

TEST_F(UpdateTrialTest, TheTimeOfATrialIsTheConfiguredOne) {
  TrialSettings settings;
  settings.health.timeout = Seconds(30);
  Configure(settings);
  ToTrial();
  machine_.clock.Advance(Milliseconds(29'999));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kTrial);
  machine_.clock.Advance(Milliseconds(1));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
  EXPECT_NE(reports_.back().detail.find("30s"), std::string::npos);
}

TEST_F(UpdateTrialTest, AnAgentThatEndsAgainAndAgainEndsItsTrial) {
  ToTrial();
  for (unsigned start = 1; start < kTrialStartsMax; ++start) {
    Start();
    EXPECT_EQ(*driver_->Boot(), UpdateStep::kTrial) << start;
  }
  Start();
  EXPECT_EQ(*driver_->Boot(), UpdateStep::kRebooting);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B agent");
}

TEST_F(UpdateTrialTest, AFloorThatCannotBeRaisedEndsTheTrialWhenTheTimeIsUp) {
  const TestRelease secure = MakeTestRelease("2.0.0", 2, 5, true);
  world_.AddRelease(secure);
  BrokenFloor floor;
  ota::Installer installer = world_.MakeInstaller(&floor);
  ReleaseSource source(secure);
  const auto start = [&] {
    driver_.emplace(machine_.Parts(installer, source, rebooter_,
                                   [this](const auto& report) { reports_.push_back(report); }));
    return *driver_->Boot();
  };
  ASSERT_EQ(start(), UpdateStep::kSettled);
  ASSERT_EQ(*driver_->Assign(secure.plan), UpdateStep::kRebooting);
  ASSERT_EQ(world_.PowerOn(PowerLoss::kNothing), Slot::kB);
  ASSERT_EQ(start(), UpdateStep::kTrial);
  ASSERT_EQ(*driver_->Assign(secure.plan), UpdateStep::kTrial) << "the plan says that it must rise";
  HearHealthy(*driver_, secure.plan.facts().release);

  EXPECT_FALSE(driver_->Tick());
  EXPECT_EQ(driver_->step(), UpdateStep::kTrial) << "it is tried again";
  machine_.clock.Advance(Minutes(10));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B commit");
  EXPECT_EQ(world_.PowerOn(PowerLoss::kNothing), Slot::kA);
}

TEST_F(UpdateTrialTest, InhibitorsHoldTheRebootAndNotTheInstallation) {
  machine_.Inhibit("surgeon", "operation until 14:00");
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kWaiting);
  EXPECT_EQ(LastReport(), "VERIFIED B inhibited");
  EXPECT_EQ(reports_.back().detail, "surgeon: operation until 14:00");
  EXPECT_EQ(world_.BootOrder(), "A");
  const size_t reported = reports_.size();
  machine_.clock.Advance(Days(1));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kWaiting);
  EXPECT_EQ(reports_.size(), reported) << "said once";
  EXPECT_EQ(rebooter_.asked, 0);

  ASSERT_TRUE(machine_.files.Remove("state/inhibit/surgeon"));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
  EXPECT_EQ(Restart(Slot::kB), UpdateStep::kTrial);
}

TEST_F(UpdateTrialTest, APowerCutWhileItWaitsStartsNoTrial) {
  machine_.Inhibit("surgeon", "");
  ASSERT_TRUE(driver_->Boot());
  ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kWaiting);
  EXPECT_EQ(Restart(Slot::kA), UpdateStep::kSettled) << "only the moment arms it";
  EXPECT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kWaiting);
}

TEST_F(UpdateTrialTest, TheSecondTryWaitsForItsMomentToo) {
  ASSERT_TRUE(driver_->Boot());
  ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kRebooting);
  ASSERT_EQ(world_.PowerOn(PowerLoss::kNothing), Slot::kB);  // and panics
  machine_.Inhibit("surgeon", "");
  EXPECT_EQ(Restart(Slot::kA), UpdateStep::kWaiting);
  ASSERT_TRUE(machine_.files.Remove("state/inhibit/surgeon"));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
}

TEST_F(UpdateTrialTest, APlanThatIsCancelledIsNeitherWrittenNorArmedNorRebootedInto) {
  machine_.cancelled = [] { return true; };
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(driver_->Assign(kNew.plan).error().rule, "update.cancelled");
  EXPECT_EQ(ota::StateName(installer_.Record()->state), "IDLE");

  machine_.cancelled = nullptr;
  machine_.Inhibit("surgeon", "");
  ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kWaiting);
  machine_.cancelled = [] { return true; };
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kSettled);
  EXPECT_EQ(LastReport(), "FAILED B cancelled");
  EXPECT_EQ(rebooter_.asked, 0);
}

// Cancelled between the last look at the gates and the arming, and between that and the reboot.
TEST_F(UpdateTrialTest, APlanThatIsCancelledAtTheLastMomentIsDisarmedAgain) {
  for (int at = 1; at <= 4; ++at) {
    ASSERT_TRUE(driver_->Boot());
    int asked = 0;
    machine_.cancelled = [&] { return ++asked == at; };
    const auto step = driver_->Assign(kNew.plan);
    machine_.cancelled = nullptr;
    EXPECT_EQ(rebooter_.asked, 0) << at;
    EXPECT_TRUE(!step || *step == UpdateStep::kSettled) << at;
    EXPECT_EQ(Restart(Slot::kA), UpdateStep::kSettled) << "asked " << at;
  }
}

TEST_F(UpdateTrialTest, AWithdrawnReleaseIsCalledOffWhereverItStands) {
  source_.BreakOffAfter(1000);
  ASSERT_TRUE(driver_->Boot());
  ASSERT_FALSE(driver_->Assign(kNew.plan));
  EXPECT_EQ(LastReport(), "WRITING B install") << "the download can go on later";
  EXPECT_EQ(*driver_->Withdraw(kOld.plan.facts().release), UpdateStep::kSettled);
  EXPECT_EQ(ota::StateName(installer_.Record()->state), "WRITING") << "another release";

  EXPECT_EQ(*driver_->Withdraw(kNew.plan.facts().release), UpdateStep::kSettled);
  EXPECT_EQ(LastReport(), "FAILED B cancelled");
}

TEST_F(UpdateTrialTest, ATrialIsNotEndedByAWithdrawal) {
  ToTrial();
  EXPECT_EQ(*driver_->Withdraw(kNew.plan.facts().release), UpdateStep::kTrial);
  EXPECT_EQ(TickHealthy(), UpdateStep::kSettled);
}

TEST_F(UpdateTrialTest, AnotherReleaseTakesThePlaceOfOneThatWaits) {
  const TestRelease other = MakeTestRelease("3.0.0", 3);
  world_.AddRelease(other);
  machine_.Inhibit("surgeon", "");
  ASSERT_TRUE(driver_->Boot());
  ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kWaiting);
  EXPECT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kWaiting) << "the same again changes nothing";
  ReleaseSource source(other);
  driver_.emplace(machine_.Parts(installer_, source, rebooter_, {}));
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(*driver_->Assign(other.plan), UpdateStep::kWaiting);
  EXPECT_EQ(installer_.Record()->release, other.plan.facts().release);
}

TEST_F(UpdateTrialTest, HooksRunInTheirPlacesAndAreToldOfTheRelease) {
  TrialSettings settings;
  settings.hooks = {"/install", "/reboot", "/commit", "/rollback", Minutes(1)};
  Configure(settings);
  ToTrial();
  EXPECT_EQ(TickHealthy(), UpdateStep::kSettled);
  EXPECT_EQ(machine_.runner.Programs(),
            (std::vector<std::string>{"/install", "/reboot", "/commit"}));
  for (const Command& command : machine_.runner.ran)
    EXPECT_EQ(command.environment,
              (std::vector<std::string>{"SALLYPORT_RELEASE=" + HexEncode(kNew.plan.facts().release),
                                        "SALLYPORT_VERSION=2.0.0", "SALLYPORT_SLOT=B",
                                        "SALLYPORT_INSTALL_BY="}));
}

TEST_F(UpdateTrialTest, TheHookOfARollbackRuns) {
  TrialSettings settings;
  settings.hooks.after_rollback = "/rollback";
  Configure(settings);
  ToTrial();
  EXPECT_EQ(TickRefused(), UpdateStep::kRebooting);
  EXPECT_EQ(machine_.runner.Programs(), std::vector<std::string>{"/rollback"});
}

TEST_F(UpdateTrialTest, AnAgentThatEndsBeforeTheRebootOfARollbackAsksForItAgainButNotForEver) {
  ToTrial();
  ASSERT_EQ(TickRefused(), UpdateStep::kRebooting);
  Start();  // it was killed, and the machine did not reboot
  EXPECT_EQ(*driver_->Boot(), UpdateStep::kRebooting) << "an unproven slot is left";
  for (int start = 0; start < 5; ++start) {
    Start();
    EXPECT_EQ(*driver_->Boot(), UpdateStep::kSettled) << "somebody wants this slot to run";
  }
  EXPECT_EQ(rebooter_.asked, 3);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B attestation");
}

const Error kStopped{Reason::kUnavailable, "the agent is stopping", "command.stopped"};

TEST_F(UpdateTrialTest, AHookThatEndsWithTheAgentRunsAgainAtItsNextStart) {
  TrialSettings settings;
  settings.hooks.after_commit = "/commit";
  Configure(settings);
  ToTrial();
  machine_.runner.answers.insert_or_assign("/commit", kStopped);
  EXPECT_EQ(TickHealthy(), UpdateStep::kSettled);
  machine_.runner.Fail("/commit", "it ended by itself");
  Start();
  EXPECT_EQ(*driver_->Boot(), UpdateStep::kSettled);
  Start();
  EXPECT_EQ(*driver_->Boot(), UpdateStep::kSettled);
  EXPECT_EQ(machine_.runner.Programs(), (std::vector<std::string>{"/commit", "/commit"}))
      << "once to its end, whatever it said";
}

TEST_F(UpdateTrialTest, NothingIsDecidedByProgramsThatEndWithTheAgent) {
  TrialSettings settings;
  settings.hooks.before_reboot = "/reboot";
  settings.drain = {{"/drain"}, Duration{0}};
  Configure(settings);
  machine_.runner.answers.insert_or_assign("/drain", kStopped);
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(*driver_->Assign(DueIn(Duration{0})), UpdateStep::kWaiting);
  EXPECT_EQ(LastReport(), "VERIFIED B drain") << "past its time, and past the deadline";
  machine_.runner.Succeed("/drain");
  machine_.runner.answers.insert_or_assign("/reboot", kStopped);
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kWaiting);
  EXPECT_EQ(LastReport(), "VERIFIED B before-reboot");
  EXPECT_EQ(rebooter_.asked, 0);
}

TEST_F(UpdateTrialTest, AProbeThatEndsWithTheAgentHasNotFailed) {
  Configure(WithProbe());
  machine_.runner.answers.insert_or_assign("/probe", kStopped);
  ToTrial();
  EXPECT_EQ(TickHealthy(), UpdateStep::kTrial);
  EXPECT_EQ(reports_.back().detail, "the probes were not run");
}

TEST_F(UpdateTrialTest, AHookBeforeTheInstallationPostponesItWithItsName) {
  TrialSettings settings;
  settings.hooks.before_install = "/install";
  Configure(settings);
  machine_.runner.Fail("/install", "disk is busy");
  ASSERT_TRUE(driver_->Boot());
  const auto refused = driver_->Assign(kNew.plan);
  EXPECT_EQ(refused.error().rule, "update.postponed");
  EXPECT_TRUE(ota::MayPass(refused.error().reason)) << "the worker asks again";
  EXPECT_EQ(reports_.back().state, "PLANNED");
  EXPECT_EQ(reports_.back().gate, "before-install");
  EXPECT_NE(reports_.back().detail.find("disk is busy"), std::string::npos);
  EXPECT_EQ(source_.served(), 0u);

  machine_.runner.Succeed("/install");
  EXPECT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kRebooting);
}

TEST_F(UpdateTrialTest, AHookBeforeTheRebootPostponesItAndIsAskedAgainAMinuteLater) {
  TrialSettings settings;
  settings.hooks.before_reboot = "/reboot";
  Configure(settings);
  machine_.runner.Fail("/reboot");
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kWaiting);
  EXPECT_EQ(LastReport(), "VERIFIED B before-reboot");
  machine_.runner.Succeed("/reboot");
  machine_.clock.Advance(Seconds(59));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kWaiting);
  machine_.clock.Advance(Seconds(1));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
}

// Friday 09:00 at UTC+1; the window is Friday 02:00 to 05:00.
TEST_F(UpdateTrialTest, InstallsAheadAndRebootsInsideTheWindow) {
  TrialSettings settings;
  settings.windows.reboot.push_back({1 << 4, 120, Hours(3), "local"});
  Configure(settings);
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kWaiting);
  EXPECT_EQ(LastReport(), "VERIFIED B window");
  machine_.clock.JumpWall(UnixTime::FromSeconds(1'800'000'000) + Hours(7 * 24 - 7));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting) << "Friday 02:00";
}

TEST_F(UpdateTrialTest, DoesNotRebootInAWindowWhileTheTimeIsUnsure) {
  TrialSettings settings;
  settings.windows.reboot.push_back({0x7F, 0, Days(1), "UTC"});
  Configure(settings);
  machine_.time_sure = false;
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kWaiting);
  EXPECT_EQ(LastReport(), "VERIFIED B time");
  machine_.time_sure = true;
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
}

TEST_F(UpdateTrialTest, DoesNotInstallOutsideItsWindow) {
  TrialSettings settings;
  settings.windows.install.push_back({1 << 4, 120, Hours(3), "local"});
  Configure(settings);
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(driver_->Assign(kNew.plan).error().rule, "update.postponed");
  EXPECT_EQ(reports_.back().gate, "install-window");
  EXPECT_EQ(source_.served(), 0u);
}

// Each piece that is served takes its time.
class SlowSource final : public ota::PayloadSource {
 public:
  SlowSource(ota::PayloadSource& source, FakeClock& clock) : source_(source), clock_(clock) {}
  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                     ota::ByteSink& sink) override {
    Sink slow(sink, clock_);
    return source_.Fetch(file, offset, length, slow);
  }

 private:
  struct Sink final : ota::ByteSink {
    Sink(ota::ByteSink& sink_in, FakeClock& clock_in) : sink(sink_in), clock(clock_in) {}
    Result<Unit> Write(ByteView bytes) override {
      clock.Advance(Seconds(1));
      return sink.Write(bytes);
    }
    ota::ByteSink& sink;
    FakeClock& clock;
  };
  ota::PayloadSource& source_;
  FakeClock& clock_;
};

class ClosingWindowTest : public UpdateTrialTest {
 protected:
  // The window is open for the first minute, Friday 08:00 UTC; the installation takes longer.
  ClosingWindowTest() {
    TrialSettings settings;
    settings.windows.install.push_back({1 << 4, 8 * 60, Minutes(1), "UTC"});
    settings.hooks.before_install = "/install";
    machine_.Configure(settings);
    driver_.emplace(
        machine_.Parts(installer_, slow_, rebooter_,
                       [this](const UpdateReport& report) { reports_.push_back(report); }));
    machine_.clock.Advance(Seconds(50));
    EXPECT_TRUE(driver_->Boot());
  }
  SlowSource slow_{source_, machine_.clock};
};

TEST_F(ClosingWindowTest, StopsTheInstallationAtACheckpointAndTheNextOneGoesOnThere) {
  EXPECT_EQ(driver_->Assign(kNew.plan).error().rule, "update.postponed");
  EXPECT_EQ(LastReport(), "WRITING B install-window");
  const uint64_t durable = installer_.Record()->resume_offset;
  EXPECT_GT(durable, 0u);
  EXPECT_EQ(durable % 4096, 0u);
  const uint64_t served = source_.served();
  EXPECT_EQ(driver_->Assign(kNew.plan).error().rule, "update.postponed");
  EXPECT_EQ(source_.served(), served) << "nothing before the next window";

  machine_.clock.JumpWall(UnixTime::FromSeconds(1'800'000'000) + Days(7));
  uint64_t windows = 1;
  for (; windows < 20; ++windows) {
    const auto step = driver_->Assign(kNew.plan);
    if (step) break;
    EXPECT_EQ(step.error().rule, "update.postponed");
    machine_.clock.JumpWall(UnixTime::FromSeconds(1'800'000'000) +
                            Days(7 * static_cast<int64_t>(windows + 1)));
  }
  EXPECT_EQ(rebooter_.asked, 1);
  EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNew));
  EXPECT_LT(source_.served(),
            kNew.payload.size() + kNew.uki.size() + (windows + 1) * (kNew.index.size() + 4096))
      << "what was durable was not loaded again";
}

TEST_F(ClosingWindowTest, PastTheDeadlineItGoesOn) {
  EXPECT_EQ(*driver_->Assign(DueIn(Minutes(1))), UpdateStep::kRebooting)
      << "the window closes in the same second";
  EXPECT_TRUE(world_.HoldsRelease(Slot::kB, kNew));
}

TEST_F(ClosingWindowTest, ASecondBeforeTheDeadlineItDoesNot) {
  EXPECT_EQ(driver_->Assign(DueIn(Duration{Days(7).ms - 1000})).error().rule, "update.postponed");
  EXPECT_EQ(reports_.back().gate, "install-window");
}

class FallbackTest : public UpdateTrialTest {
 protected:
  // ToFallback is the boot of slot A after the release in B was given up.
  void ToFallback() {
    ToTrial();
    ASSERT_EQ(TickRefused(), UpdateStep::kRebooting);
    ASSERT_EQ(Restart(Slot::kA), UpdateStep::kSettled);
    reports_.clear();
  }
  void Degrade() {
    ToFallback();
    machine_.clock.Advance(Minutes(10));
    ASSERT_EQ(*driver_->Tick(), UpdateStep::kSettled);
  }
  UpdateStep TickFallbackHealthy() {
    HearHealthy(*driver_, kOld.plan.facts().release);
    return *driver_->Tick();
  }
  std::string State() { return std::string(ota::StateName(installer_.Record()->state)); }
  const TestRelease third_ = MakeTestRelease("3.0.0", 3);
  const ota::InstallPlan brought_ = ota::InstallPlanForTest::Make(
      third_.plan.facts(), ota::LocalCommit::kRefused, ota::PlanOrigin::kBrought);
};

TEST_F(FallbackTest, ThatFailsItsGateIsDegradedAndStaysUpAndSaysWhy) {
  ToFallback();
  machine_.clock.Advance(Duration{Minutes(10).ms - 1});
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kSettled);
  EXPECT_EQ(State(), "ROLLED_BACK");
  machine_.clock.Advance(Milliseconds(1));

  EXPECT_EQ(*driver_->Tick(), UpdateStep::kSettled);

  EXPECT_EQ(LastReport(), "DEGRADED B agent");
  EXPECT_TRUE(reports_.back().degraded);
  EXPECT_EQ(reports_.back().release, kNew.plan.facts().release);
  EXPECT_NE(reports_.back().detail.find("fell back to this slot by gate attestation"),
            std::string::npos)
      << reports_.back().detail;
  const size_t said = reports_.size();
  for (int look = 0; look < 100; ++look) {
    machine_.clock.Advance(Hours(1));
    EXPECT_EQ(*driver_->Tick(), UpdateStep::kSettled);
  }
  EXPECT_EQ(reports_.size(), said) << "it is said once";
  EXPECT_EQ(rebooter_.asked, 2) << "for the trial and back";
  EXPECT_EQ(world_.BootOrder(), "A");
}

TEST_F(FallbackTest, ThatTheServerRefusesIsDegradedAtOnce) {
  ToFallback();
  EXPECT_EQ(TickRefused(), UpdateStep::kSettled);
  EXPECT_EQ(LastReport(), "DEGRADED B attestation");
  EXPECT_EQ(rebooter_.asked, 2);
}

TEST_F(FallbackTest, StaysDegradedOverRebootsUntilItPasses) {
  Degrade();
  ASSERT_EQ(Restart(Slot::kA), UpdateStep::kSettled);
  EXPECT_EQ(reports_.back().state, "DEGRADED");
  EXPECT_EQ(TickFallbackHealthy(), UpdateStep::kSettled);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B attestation") << "why the release was given up";
  EXPECT_FALSE(reports_.back().degraded);

  ASSERT_EQ(Restart(Slot::kA), UpdateStep::kSettled);
  machine_.clock.Advance(Hours(1));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kSettled);
  EXPECT_EQ(State(), "ROLLED_BACK") << "what has proven itself once is not asked again";
}

TEST_F(FallbackTest, InstallsNothingAssignedBeforeItHasProvenItself) {
  world_.AddRelease(third_);
  ToFallback();
  EXPECT_EQ(driver_->Assign(third_.plan).error().rule, "update.postponed");
  EXPECT_EQ(reports_.back().gate, "fallback");
  EXPECT_EQ(reports_.back().release, third_.plan.facts().release);
  machine_.clock.Advance(Minutes(10));
  ASSERT_EQ(*driver_->Tick(), UpdateStep::kSettled);
  const auto refused = driver_->Assign(third_.plan);
  EXPECT_EQ(refused.error().rule, "update.postponed");
  EXPECT_TRUE(ota::MayPass(refused.error().reason)) << "it is asked again once it has recovered";
  EXPECT_EQ(reports_.back().state + " " + reports_.back().gate, "PLANNED degraded");
  EXPECT_TRUE(reports_.back().degraded);
  EXPECT_EQ(State(), "DEGRADED");
  EXPECT_EQ(driver_->Assign(kNew.plan).error().rule, "install.failed-before");

  ASSERT_EQ(TickFallbackHealthy(), UpdateStep::kSettled);
  ReleaseSource source(third_);
  driver_.emplace(machine_.Parts(installer_, source, rebooter_, {}));
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(*driver_->Assign(third_.plan), UpdateStep::kRebooting);
}

TEST_F(FallbackTest, InstallsWhatSomebodyBroughtAlsoWhenDegraded) {
  world_.AddRelease(third_);
  Degrade();
  ReleaseSource source(third_);
  driver_.emplace(machine_.Parts(installer_, source, rebooter_, {}));
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(*driver_->Assign(brought_), UpdateStep::kRebooting);
  EXPECT_EQ(State(), "ARMED");
}

TEST_F(FallbackTest, ABundleThatFailsLeavesTheGateInPeace) {
  Degrade();
  EXPECT_FALSE(driver_->Assign(brought_)) << "this source has no such release";
  EXPECT_EQ(State(), "FAILED");
  EXPECT_TRUE(driver_->Tick());
  EXPECT_EQ(State(), "FAILED");
}

class DeadlineTest : public UpdateTrialTest {
 protected:
  // Every moment but one on Saturdays is outside the windows, and somebody inhibits.
  DeadlineTest() {
    TrialSettings settings;
    settings.windows.install.push_back({1 << 5, 0, Minutes(1), "UTC"});
    settings.windows.reboot.push_back({1 << 5, 0, Minutes(1), "UTC"});
    Configure(settings);
    machine_.Inhibit("surgeon", "");
    EXPECT_TRUE(driver_->Boot());
  }
};

TEST_F(DeadlineTest, HoldsNothingUpBeforeItAndEverythingGoesAtIt) {
  const ota::InstallPlan plan = DueIn(Seconds(1));
  EXPECT_EQ(driver_->Assign(plan).error().rule, "update.postponed");
  EXPECT_EQ(reports_.back().gate, "install-window");
  EXPECT_EQ(reports_.back().install_by, plan.facts().install_by);
  EXPECT_NE(reports_.back().detail.find("until 2027-01-15T08:00:01Z at the latest"),
            std::string::npos);
  EXPECT_EQ(source_.served(), 0u);

  machine_.clock.Advance(Seconds(1));
  EXPECT_EQ(*driver_->Assign(plan), UpdateStep::kRebooting);
  EXPECT_EQ(LastReport(), "ARMED B");
  EXPECT_NE(reports_.back().detail.find("inhibited: surgeon"), std::string::npos)
      << "the server hears what was not waited for: " << reports_.back().detail;
}

TEST_F(DeadlineTest, IsJudgedAgainWhileTheVerifiedSlotWaits) {
  Configure({});
  ASSERT_TRUE(driver_->Boot());
  ASSERT_EQ(*driver_->Assign(DueIn(Hours(1))), UpdateStep::kWaiting);
  EXPECT_EQ(LastReport(), "VERIFIED B inhibited");
  machine_.clock.Advance(Duration{Hours(1).ms - 1});
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kWaiting);
  machine_.clock.Advance(Milliseconds(1));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
}

TEST_F(DeadlineTest, WithoutTrustedTimeTheOwnersRulesHoldWhateverTheClockSays) {
  machine_.time_sure = false;
  machine_.clock.JumpWall(UnixTime::FromSeconds(4'000'000'000));
  EXPECT_EQ(driver_->Assign(DueIn(Duration{0})).error().rule, "update.postponed");
  EXPECT_EQ(reports_.back().gate, "install-time");
  EXPECT_NE(reports_.back().detail.find("has not told the time"), std::string::npos);

  machine_.time_floor = UnixTime::FromSeconds(1'800'000'000);  // signed in an earlier boot
  EXPECT_EQ(*driver_->Assign(DueIn(Duration{0})), UpdateStep::kRebooting);
}

TEST_F(DeadlineTest, SafetyIsNeverOverriddenAndSaysSo) {
  machine_.Inhibit("press.safety", "the ram is up");
  EXPECT_EQ(*driver_->Assign(DueIn(Duration{0})), UpdateStep::kWaiting);
  EXPECT_EQ(LastReport(), "VERIFIED B inhibited");
  EXPECT_EQ(reports_.back().detail,
            "press.safety: the ram is up (past the deadline of 2027-01-15T08:00:00Z)");
  ASSERT_TRUE(machine_.files.Remove("state/inhibit/press.safety"));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
}

TEST_F(DeadlineTest, OfAnotherReleaseSaysNothing) {
  Configure({});
  ASSERT_TRUE(driver_->Boot());
  EXPECT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kWaiting);
  EXPECT_EQ(reports_.back().install_by, std::nullopt);
}

TEST_F(UpdateTrialTest, LearnsHowLongAnUpdateTakesFromTheRebootToTheCommit) {
  ToTrial();
  machine_.clock.Advance(Minutes(4));
  EXPECT_EQ(TickHealthy(), UpdateStep::kSettled);
  EXPECT_EQ(machine_.notes.Load().past, std::vector<Duration>{Minutes(4)});
}

TEST_F(UpdateTrialTest, AWatchdogThatDoesNotRunKeepsTheTrialOpenAndEndsIt) {
  FakeMachine machine({}, "/nonexistent/watchdog");
  driver_.emplace(machine.Parts(installer_, source_, rebooter_, [this](const UpdateReport& report) {
    reports_.push_back(report);
  }));
  ASSERT_TRUE(driver_->Boot());
  ASSERT_EQ(*driver_->Assign(kNew.plan), UpdateStep::kRebooting);
  ASSERT_EQ(world_.PowerOn(PowerLoss::kNothing), Slot::kB);
  driver_.emplace(machine.Parts(installer_, source_, rebooter_, [this](const UpdateReport& report) {
    reports_.push_back(report);
  }));
  ASSERT_EQ(*driver_->Boot(), UpdateStep::kTrial);
  EXPECT_EQ(TickHealthy(), UpdateStep::kTrial);
  EXPECT_EQ(LastReport(), "TRIAL B watchdog");
  machine.clock.Advance(Minutes(10));
  EXPECT_EQ(*driver_->Tick(), UpdateStep::kRebooting);
  EXPECT_EQ(LastReport(), "ROLLED_BACK B watchdog");
}

// Every sequence of what a bad or unlucky release may do, boot after boot, and a server that goes
// on assigning it.
class RebootLoopTest : public ::testing::Test {
 protected:
  enum class Fate : uint8_t { kPanics, kLosesPower, kIsRefused, kIsNeverJudged, kAgentCrashes };
  static constexpr size_t kFates = 5;
  static constexpr size_t kBoots = 4;

  struct Outcome {
    int rollbacks = 0;
    int reboots = 0;
    bool up = false;  // it stays up, in the old slot
    int refused = 0;  // assignments of the release, at the end
    std::string state;
    size_t failed = 0;  // releases that are remembered
  };

  // Live ends with hours in the slot it fell back to, which proves itself or does not.
  Outcome Live(const std::vector<Fate>& fates, bool sound) {
    UpdateWorld world(kOld);
    world.AddRelease(kNew);
    ota::Installer installer = world.MakeInstaller();
    ReleaseSource source(kNew);
    FakeMachine machine;
    Outcome out;
    Slot slot = Slot::kA;
    for (size_t boot = 0; boot <= fates.size() + 1; ++boot) {
      const std::optional<Fate> fate =
          boot == 0 || boot > fates.size() ? std::nullopt : std::optional(fates[boot - 1]);
      const int asked = Run(world, installer, source, machine, slot, fate, out);
      out.reboots += asked;
      out.up = asked == 0 && slot == Slot::kA;
      const bool cut = fate == Fate::kPanics || fate == Fate::kLosesPower;
      if (asked == 0 && !cut && slot == Slot::kA && boot > 0) break;
      slot = *world.PowerOn(PowerLoss::kNothing);
    }
    Stay(installer, source, machine, sound, out);
    return out;
  }

  static void Stay(ota::Installer& installer, ReleaseSource& source, FakeMachine& machine,
                   bool sound, Outcome& out) {
    CountingRebooter rebooter;
    UpdateDriver driver(machine.Parts(installer, source, rebooter, {}));
    SP_CHECK(driver.Boot().has_value());
    if (sound) HearHealthy(driver, kOld.plan.facts().release);
    for (int hour = 0; hour < 3; ++hour) {
      SP_CHECK(driver.Tick().has_value());
      machine.clock.Advance(Hours(1));
      out.refused += driver.Assign(kNew.plan).has_value() ? 0 : 1;
    }
    out.reboots += rebooter.asked;
    out.state = ota::StateName(installer.Record()->state);
    out.failed = installer.Record()->failed_releases.size();
  }

  // Run is one boot; it returns how often the machine was asked to reboot: at most once.
  static int Run(UpdateWorld& world, ota::Installer& installer, ReleaseSource& source,
                 FakeMachine& machine, Slot slot, std::optional<Fate> fate, Outcome& out) {
    if (fate == Fate::kPanics && slot == Slot::kB) return 0;
    CountingRebooter rebooter;
    std::string last = ota::StateName(installer.Record()->state).data();
    const auto start = [&] {
      return UpdateDriver(
          machine.Parts(installer, source, rebooter, [&](const UpdateReport& report) {
            if (report.state == "ROLLED_BACK" && last != report.state) ++out.rollbacks;
            last = report.state;
          }));
    };
    for (unsigned starts = 0; starts <= kTrialStartsMax && rebooter.asked == 0; ++starts) {
      UpdateDriver driver = start();
      SP_CHECK(driver.Boot().has_value());
      static_cast<void>(driver.Assign(kNew.plan).has_value());
      if (fate == Fate::kIsRefused) HearRefused(driver);
      if (fate == Fate::kIsNeverJudged) machine.clock.Advance(Hours(1));
      if (fate != Fate::kLosesPower) SP_CHECK(driver.Tick().has_value());
      if (fate != Fate::kAgentCrashes) break;
    }
    static_cast<void>(world);
    EXPECT_LE(rebooter.asked, 1);
    return rebooter.asked;
  }
};

TEST_F(RebootLoopTest, NoSequenceOfBootsRollsBackTwiceOrRebootsForEver) {
  size_t sequences = 0;
  for (size_t code = 0; code < static_cast<size_t>(std::pow(kFates, kBoots)); ++code) {
    std::vector<Fate> fates;
    for (size_t rest = code, i = 0; i < kBoots; ++i, rest /= kFates)
      fates.push_back(static_cast<Fate>(rest % kFates));
    for (const bool sound : {true, false}) {
      const Outcome outcome = Live(fates, sound);
      ASSERT_EQ(outcome.rollbacks, 1) << code;
      ASSERT_LE(outcome.reboots, ota::kTrialAttemptsMax + 1) << code;
      ASSERT_TRUE(outcome.up) << code;
      ASSERT_EQ(outcome.state, sound ? "ROLLED_BACK" : "DEGRADED") << code;
      ASSERT_EQ(outcome.refused, 3) << code;
      ASSERT_EQ(outcome.failed, 1u) << code;
      ++sequences;
    }
  }
  EXPECT_EQ(sequences, 2 * 625u);
}

}  // namespace
}  // namespace sallyport::device
