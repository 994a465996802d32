#include "device-client/update/machine_checks.h"

#include "tests/fakes/fake_machine.h"

namespace sallyport::device {
namespace {

const UpdateSubject kSubject{"ab12", "2.0.0", "B"};

HealthState& Of(HealthFacts& facts, HealthCheck check) { return facts[static_cast<size_t>(check)]; }

TrialSettings Probes(std::vector<HealthProbe> probes) {
  TrialSettings settings;
  settings.health.probes = std::move(probes);
  return settings;
}

TEST(MachineChecks, WithNothingToAskUnitsAndProbesPass) {
  FakeMachine machine;
  HealthFacts facts;
  machine.checks().Look(kSubject, facts);
  EXPECT_EQ(Of(facts, HealthCheck::kUnits).answer, HealthAnswer::kPassed);
  EXPECT_EQ(Of(facts, HealthCheck::kProbes).answer, HealthAnswer::kPassed);
}

TEST(MachineChecks, RunsOneProbeAtEachLookAndPassesWhenAllHave) {
  FakeMachine machine(Probes(
      {{"web", {"/web", "--now"}, "", Seconds(3)}, {"port", {}, "127.0.0.1:80", Seconds(1)}}));
  HealthFacts facts;
  machine.checks().Look(kSubject, facts);
  EXPECT_EQ(Of(facts, HealthCheck::kProbes).answer, HealthAnswer::kWaiting);
  machine.checks().Look(kSubject, facts);
  EXPECT_EQ(Of(facts, HealthCheck::kProbes).answer, HealthAnswer::kPassed);
  EXPECT_EQ(machine.runner.connected, std::vector<std::string>{"127.0.0.1:80"});
  ASSERT_EQ(machine.runner.ran.size(), 1u);
  EXPECT_EQ(machine.runner.ran[0].argv, (std::vector<std::string>{"/web", "--now"}));
  EXPECT_EQ(machine.runner.ran[0].timeout, Seconds(3));
  EXPECT_EQ(machine.runner.ran[0].environment[1], "SALLYPORT_VERSION=2.0.0");
}

TEST(MachineChecks, AProbeThatPassedOnceMustPassTheNextTimeToo) {
  FakeMachine machine(Probes({{"web", {"/web"}, "", Seconds(3)}}));
  HealthFacts facts;
  machine.checks().Look(kSubject, facts);
  EXPECT_EQ(Of(facts, HealthCheck::kProbes).answer, HealthAnswer::kPassed);
  machine.runner.Fail("/web");
  machine.clock.Advance(kAskEvery);
  machine.checks().Look(kSubject, facts);
  EXPECT_EQ(Of(facts, HealthCheck::kProbes).answer, HealthAnswer::kFailed);
}

TEST(MachineChecks, NamesTheProbeThatFailsAndWhy) {
  FakeMachine machine(Probes({{"port", {}, "127.0.0.1:80", Seconds(1)}}));
  machine.runner.refusing.insert("127.0.0.1:80");
  HealthFacts facts;
  machine.checks().Look(kSubject, facts);
  EXPECT_EQ(Of(facts, HealthCheck::kProbes).detail.find("port: "), 0u);
  EXPECT_NE(Of(facts, HealthCheck::kProbes).detail.find("refused"), std::string::npos);
}

TEST(MachineChecks, AsksSystemdForTheUnitsThatAreConfigured) {
  TrialSettings settings;
  settings.health.units = {{"a.service", "b.service"}};
  FakeMachine machine(settings);
  HealthFacts facts;
  machine.checks().Look(kSubject, facts);
  machine.checks().Look(kSubject, facts);
  ASSERT_EQ(machine.runner.ran.size(), 2u);
  EXPECT_EQ(machine.runner.ran[1].argv,
            (std::vector<std::string>{"/usr/bin/systemctl", "is-active", "--", "b.service"}));
  EXPECT_EQ(Of(facts, HealthCheck::kUnits).answer, HealthAnswer::kPassed);
  machine.runner.Fail("/usr/bin/systemctl", "failed");
  machine.clock.Advance(kAskEvery);
  machine.checks().Look(kSubject, facts);
  EXPECT_EQ(Of(facts, HealthCheck::kUnits).answer, HealthAnswer::kFailed);
  EXPECT_EQ(Of(facts, HealthCheck::kUnits).detail.find("a.service: "), 0u);
}

TEST(MachineChecks, WhereSystemdRunsABootMustBeCompleteUnlessTheListIsEmpty) {
  FakeMachine machine;
  ASSERT_TRUE(machine.files.MakeDirectories("/run/systemd/system"));
  machine.Configure({});
  HealthFacts facts;
  machine.checks().Look(kSubject, facts);
  ASSERT_EQ(machine.runner.ran.size(), 1u);
  EXPECT_EQ(machine.runner.ran[0].argv.back(), "boot-complete.target");

  TrialSettings settings;
  settings.health.units.emplace();
  machine.Configure(settings);
  machine.checks().Look(kSubject, facts);
  EXPECT_EQ(machine.runner.ran.size(), 1u);
}

TEST(MachineChecks, ListsInhibitorsOfBothDirectoriesMadePrintable) {
  TrialSettings settings;
  settings.inhibit = "run/inhibit";
  FakeMachine machine(settings);
  EXPECT_TRUE(machine.checks().Inhibitors().empty());
  machine.Inhibit("surgeon\x1b[2J", "until\n14:00\n");
  ASSERT_TRUE(WriteFileAtomically(machine.files, "run/inhibit/backup", Bytes(1000, 'x')));
  ASSERT_TRUE(WriteFileAtomically(machine.files, "run/inhibit/.hidden", {}));
  const auto inhibitors = machine.checks().Inhibitors();
  ASSERT_EQ(inhibitors.size(), 2u);
  EXPECT_EQ(inhibitors[0], (Inhibitor{"surgeon?[2J", "until 14:00"}));
  EXPECT_EQ(inhibitors[1].who, "backup");
  EXPECT_EQ(inhibitors[1].why.size(), 256u);
}

TEST(MachineChecks, AnInhibitorThatCannotBeReadInhibits) {
  FakeMachine machine;
  machine.Inhibit("surgeon", "why");
  machine.files.FailReads("state/inhibit/surgeon");
  EXPECT_EQ(machine.checks().Inhibitors().size(), 1u);
  EXPECT_EQ(machine.checks().MayReboot(kSubject, Minutes(1)).gate, "inhibited");
}

class DrainTest : public ::testing::Test {
 protected:
  DrainTest() {
    TrialSettings settings;
    settings.drain = {{"/drain"}, Minutes(2)};
    machine_.Configure(settings);
    machine_.runner.Fail("/drain");
  }
  GateDecision Ask() { return machine_.checks().MayReboot(kSubject, Minutes(1)); }
  FakeMachine machine_;
};

TEST_F(DrainTest, WaitsForTheWorkAndAsksEveryFewSeconds) {
  EXPECT_EQ(Ask().gate, "drain");
  EXPECT_EQ(Ask().gate, "drain");
  EXPECT_EQ(machine_.runner.ran.size(), 1u);
  machine_.runner.Succeed("/drain");
  EXPECT_EQ(Ask().gate, "drain") << "not asked again yet";
  machine_.clock.Advance(kAskEvery);
  EXPECT_TRUE(Ask().open);
}

TEST_F(DrainTest, DoesNotWaitLongerThanItsTime) {
  EXPECT_FALSE(Ask().open);
  machine_.clock.Advance(Duration{Minutes(2).ms - 1});
  EXPECT_FALSE(Ask().open);
  machine_.clock.Advance(Milliseconds(1));
  EXPECT_TRUE(Ask().open);
}

TEST_F(DrainTest, AnInhibitorBeginsTheTimeAnew) {
  EXPECT_FALSE(Ask().open);
  machine_.clock.Advance(Minutes(1));
  machine_.Inhibit("surgeon", "");
  EXPECT_EQ(Ask().gate, "inhibited");
  ASSERT_TRUE(machine_.files.Remove("state/inhibit/surgeon"));
  EXPECT_EQ(Ask().gate, "drain");
  machine_.clock.Advance(Minutes(1));
  EXPECT_EQ(Ask().gate, "drain");
  machine_.clock.Advance(Minutes(1));
  EXPECT_TRUE(Ask().open);
}

// FakeMachine's clock stands at 1,800,000,000 s.
UpdateSubject Due(Duration in) {
  UpdateSubject subject = kSubject;
  subject.install_by = UnixTime::FromSeconds(1'800'000'000) + in;
  return subject;
}

TEST_F(DrainTest, PastTheDeadlineTheWorkHasFiveMinutesAndNoMore) {
  TrialSettings settings;
  settings.drain = {{"/drain"}, Hours(12)};
  machine_.Configure(settings);
  const UpdateSubject due = Due(Duration{0});
  EXPECT_EQ(machine_.checks().MayReboot(due, Minutes(1)).gate, "drain");
  machine_.clock.Advance(Duration{kOverdueDrainMax.ms - 1});
  const GateDecision held = machine_.checks().MayReboot(due, Minutes(1));
  EXPECT_EQ(held.gate, "drain");
  EXPECT_NE(held.detail.find("past the deadline"), std::string::npos) << held.detail;
  machine_.clock.Advance(Milliseconds(1));
  EXPECT_TRUE(machine_.checks().MayReboot(due, Minutes(1)).open);
}

TEST_F(DrainTest, BeforeTheDeadlineItHasAllItsTimeAndAShorterOneIsNotStretched) {
  EXPECT_FALSE(machine_.checks().MayReboot(Due(Days(1)), Minutes(1)).open);
  machine_.clock.Advance(Duration{Minutes(2).ms - 1});
  EXPECT_FALSE(machine_.checks().MayReboot(Due(Duration{0}), Minutes(1)).open);
  machine_.clock.Advance(Milliseconds(1));
  EXPECT_TRUE(machine_.checks().MayReboot(Due(Duration{0}), Minutes(1)).open);
}

TEST(MachineChecks, PastTheDeadlineHooksRunButHoldNothingUp) {
  TrialSettings settings;
  settings.hooks.before_install = "/install";
  settings.hooks.before_reboot = "/reboot";
  FakeMachine machine(settings);
  machine.runner.Fail("/install", "no");
  machine.runner.Fail("/reboot", "never");
  EXPECT_EQ(machine.checks().MayInstall(Due(Seconds(1))).gate, "before-install");
  const GateDecision postponed = machine.checks().MayReboot(Due(Seconds(1)), Minutes(1));
  EXPECT_EQ(postponed.gate, "before-reboot");
  EXPECT_NE(postponed.detail.find("2027-01-15T08:00:01Z at the latest"), std::string::npos)
      << postponed.detail;
  machine.clock.Advance(Seconds(1));
  EXPECT_TRUE(machine.checks().MayInstall(Due(Seconds(1))).open);
  const GateDecision open = machine.checks().MayReboot(Due(Seconds(1)), Minutes(1));
  EXPECT_TRUE(open.open) << "also within the minute that a hook is not asked again";
  EXPECT_NE(open.detail.find("before-reboot"), std::string::npos) << "it is not silent";
  EXPECT_EQ(machine.runner.ran.back().environment.back(),
            "SALLYPORT_INSTALL_BY=2027-01-15T08:00:01Z");
}

TEST(MachineChecks, AHookMayBeADirectoryOfProgramsAndStopsAtTheFirstThatFails) {
  TrialSettings settings;
  settings.hooks.after_commit = "hooks";
  FakeMachine machine(settings);
  for (const char* name : {"20-b", "10-a", "30-c", ".notes"})
    ASSERT_TRUE(WriteFileAtomically(machine.files, std::string("hooks/") + name, {}));
  EXPECT_TRUE(machine.checks().RunHook(Hook::kAfterCommit, kSubject));
  EXPECT_EQ(machine.runner.Programs(),
            (std::vector<std::string>{"hooks/10-a", "hooks/20-b", "hooks/30-c"}));
  machine.runner.Fail("hooks/20-b", "broken");
  machine.runner.ran.clear();
  const auto failed = machine.checks().RunHook(Hook::kAfterCommit, kSubject);
  EXPECT_EQ(failed.error().rule, "update.hook");
  EXPECT_NE(failed.error().detail.find("hooks/20-b"), std::string::npos);
  EXPECT_EQ(machine.runner.ran.size(), 2u);
}

TEST(MachineChecks, AHookThatIsNotThereFails) {
  TrialSettings settings;
  settings.hooks.before_install = "/gone";
  FakeMachine machine(settings);
  machine.runner.answers.emplace("/gone", Error{Reason::kNotFound, "/gone", "command.missing"});
  EXPECT_EQ(machine.checks().MayInstall(kSubject).gate, "before-install");
}

TEST(LocalZones, ReadTheZoneOfTheMachineAndNamedOnes) {
  MemoryFileSystem files;
  PosixFileSystem disk;
  const Bytes berlin = *ReadFile(disk, "/usr/share/zoneinfo/Europe/Berlin", 1 << 16);
  EXPECT_FALSE(LocalZones(files)("local"));
  ASSERT_TRUE(WriteFileAtomically(files, "/etc/localtime", berlin));
  EXPECT_EQ(LocalZones(files)("local")->text(), LocalZones(disk)("Europe/Berlin")->text());
  EXPECT_FALSE(LocalZones(files)("../../etc/passwd"));
}

}  // namespace
}  // namespace sallyport::device
