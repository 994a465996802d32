// Rollouts: who is assigned when, what a report moves, and which reference values open for whom.
#include "attestation-server/operations/rollouts.h"

#include "attestation-server/operations/devices.h"
#include "attestation-server/store/references.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/tuf_repository.h"
#include "tests/unit/attestation-server/operations/operations_fixture.h"

namespace sallyport::server {
namespace {

constexpr const char* kPath = "releases/edge-os/2.0.0/release.json";

class RolloutOperationsTest : public OperationsTest {
 protected:
  RolloutOperationsTest() {
    ota::TufRepository repository(UnixTime::FromSeconds(1000), "");
    Publish(kPath, ota::AddSampleRelease(repository, "2.0.0", 2));
    for (uint8_t i = 1; i <= 3; ++i) {
      devices_.push_back(MakeDevice(i));
      Keep(devices_.back());
    }
  }
  void Publish(const std::string& path, const ota::Release& release) {
    const std::string json = ota::WriteRelease(release);
    SP_CHECK(Write([&](Transaction& t) {
               return RecordRelease(t, path, AsBytes(json), now_);
             }).has_value());
    release_ = ota::ReleaseDigestOf(AsBytes(json));
  }
  void Withdraw(const std::set<std::string>& still_published) {
    SP_CHECK(Write([&](Transaction& t) {
               return RecordWithdrawals(t, still_published, now_);
             }).has_value());
  }
  RolloutOrder Order() { return {"v2", kPath, {devices_[0].name}, {}}; }
  void Draft() { ASSERT_TRUE(operations_.Create(alice_.who, Order()).has_value()); }
  std::vector<SignedApproval> Approvals(const Person& person) {
    const std::string hex = *operations_.Show("v2")->Find("digest")->if_string();
    return Approved(person, "rollout.approve",
                    Sha256Digest::FromView(HexDecode(hex).value()).value());
  }
  void Approve() {
    const auto approved = operations_.Approve(alice_.who, "v2", Approvals(alice_));
    ASSERT_TRUE(approved.has_value()) << approved.error().ToString();
  }
  // KeepSetOfTheClass: values of the class are in force that no release brought.
  void KeepSetOfTheClass() {
    ReferenceRow platform;
    platform.id = HashOf(9);
    platform.device_class = devices_[0].placement.device_class;
    platform.state = ReferenceState::kActive;
    platform.json = "{}";
    ASSERT_TRUE(Write([&](Transaction& t) {
                  return References(t.connection()).Insert(platform);
                }).has_value());
  }
  void Report(size_t device, const std::string& state, const std::string& gate = "") {
    operations_.OnReport({devices_[device].id, release_, state, 100, "B", gate, ""});
  }
  std::string State() { return *operations_.Show("v2")->Find("state")->if_string(); }
  bool IsAssigned(size_t device) {
    Snapshot snapshot = database_->Read().value();
    return FindAssignment(snapshot.connection(), devices_[device].id).value().has_value();
  }
  size_t Sets(size_t device, ReferenceRole role) {
    Snapshot snapshot = database_->Read().value();
    return DeviceReferences(snapshot.connection(), devices_[device].id, role).value().size();
  }

  FakeClock clock_{now_};
  int changes_ = 0;
  std::vector<DeviceRecord> devices_;
  ReleaseDigest release_ = ReleaseDigest::FromArray({});  // published last, and reported on
  RolloutOperations operations_{Parts(), clock_, [this] { ++changes_; }};
};

TEST_F(RolloutOperationsTest, NamesOnlyWhatIsPublishedAndKnown) {
  RolloutOrder order = Order();
  order.release_path = "releases/edge-os/9.9.9/release.json";
  EXPECT_EQ(RuleOf(operations_.Create(alice_.who, order)), "rollout.release");
  order = Order();
  order.canary = {"nobody"};
  EXPECT_EQ(RuleOf(operations_.Create(alice_.who, order)), "device.unknown");
  order = Order();
  order.devices = {"nobody"};
  EXPECT_EQ(RuleOf(operations_.Create(alice_.who, order)), "device.unknown");
  EXPECT_EQ(RuleOf(operations_.Show("v2")), "rollout.unknown");
}

TEST_F(RolloutOperationsTest, NeedsACanaryAndNamesItOnce) {
  RolloutOrder order = Order();
  order.canary.clear();
  EXPECT_EQ(RuleOf(operations_.Create(alice_.who, order)), "rollout.canary");
  order.canary = {devices_[0].name, devices_[0].id};
  EXPECT_EQ(RuleOf(operations_.Create(alice_.who, order)), "rollout.canary");
}

TEST_F(RolloutOperationsTest, NameIsTakenOnce) {
  Draft();
  EXPECT_EQ(operations_.Create(alice_.who, Order()).error().reason, Reason::kAlreadyExists);
}

TEST_F(RolloutOperationsTest, NobodyIsAssignedBeforeTheApproval) {
  Draft();
  EXPECT_EQ(State(), "signed");
  EXPECT_FALSE(IsAssigned(0));
  EXPECT_EQ(Sets(0, ReferenceRole::kPending), 0u);
}

TEST_F(RolloutOperationsTest, ApprovalIsForExactlyThisRolloutByTheCaller) {
  Draft();
  EXPECT_EQ(RuleOf(operations_.Approve(alice_.who, "v2", {})), "approval.missing");
  EXPECT_EQ(RuleOf(operations_.Approve(alice_.who, "v2", Approvals(bob_))), "approval.signature");
  EXPECT_EQ(
      RuleOf(operations_.Approve(alice_.who, "v2", Approved(alice_, "rollout.approve", HashOf(1)))),
      "approval.digest");
  EXPECT_EQ(State(), "signed");
}

TEST_F(RolloutOperationsTest, DigestCoversNameReleaseAndBothLists) {
  RolloutRow row;
  row.name = "v2";
  RolloutDeviceRow one;
  one.device_id = "a";
  one.wave = RolloutWave::kCanary;
  RolloutDeviceRow two = one;
  two.wave = RolloutWave::kRest;
  const Sha256Digest base = RolloutDigest(row, {one});
  RolloutRow renamed = row;
  renamed.name = "v3";
  RolloutRow other = row;
  other.release = ReleaseDigest::FromArray({9});

  EXPECT_NE(RolloutDigest(renamed, {one}), base);
  EXPECT_NE(RolloutDigest(other, {one}), base);
  EXPECT_NE(RolloutDigest(row, {two}), base);
  EXPECT_NE(RolloutDigest(row, {one, two}), base);
  EXPECT_NE(RolloutDigest(row, {}), base);
}

TEST_F(RolloutOperationsTest, ApprovalAssignsTheCanariesAndOpensTheirValuesAlone) {
  Draft();
  Approve();
  EXPECT_EQ(State(), "canary");
  EXPECT_TRUE(IsAssigned(0));
  EXPECT_FALSE(IsAssigned(1));
  EXPECT_GT(Sets(0, ReferenceRole::kPending), 0u);
  EXPECT_EQ(Sets(1, ReferenceRole::kPending), 0u);
  EXPECT_GT(changes_, 0);
}

TEST_F(RolloutOperationsTest, RestWaitsUntilEveryCanaryHasCommitted) {
  Draft();
  Approve();
  EXPECT_EQ(RuleOf(operations_.Advance(alice_.who, "v2")), "rollout.canaries");
  Report(0, "TRIAL");
  EXPECT_EQ(RuleOf(operations_.Advance(alice_.who, "v2")), "rollout.canaries");

  Report(0, "COMMITTED");
  EXPECT_EQ(RuleOf(operations_.Advance(alice_.who, "v2")), "accepted");
  EXPECT_TRUE(IsAssigned(1));
  EXPECT_TRUE(IsAssigned(2));
}

TEST_F(RolloutOperationsTest, CommitMakesThePendingValuesTheDevices) {
  Draft();
  Approve();
  const size_t pending = Sets(0, ReferenceRole::kPending);
  Report(0, "COMMITTED");
  EXPECT_EQ(Sets(0, ReferenceRole::kCommitted), pending);
  EXPECT_EQ(Sets(0, ReferenceRole::kPending), 0u);
}

TEST_F(RolloutOperationsTest, FirstCommitKeepsTheClassesValuesForRecovery) {
  KeepSetOfTheClass();
  Draft();
  Approve();

  Report(0, "COMMITTED");

  EXPECT_EQ(Sets(0, ReferenceRole::kRecovery), 1u);
  EXPECT_EQ(Sets(1, ReferenceRole::kRecovery), 0u);
}

// Whoever has the disk can start what lies in the other slot: a security release ends it.
TEST_F(RolloutOperationsTest, ASecurityReleaseEndsTheValuesBelowItsFloor) {
  KeepSetOfTheClass();
  const auto commit = [this](const std::string& version, uint64_t index, bool floor) {
    ota::TufRepository repository(UnixTime::FromSeconds(1000), "");
    ota::Release release = ota::AddSampleRelease(repository, version, index);
    release.security_floor = floor;
    const std::string path = "releases/edge-os/" + version + "/release.json";
    Publish(path, release);
    const JsonValue made =
        operations_.Create(alice_.who, {version, path, {devices_[0].name}, {}}).value();
    const Bytes digest = HexDecode(*made.Find("digest")->if_string()).value();
    SP_CHECK(
        operations_
            .Approve(alice_.who, version,
                     Approved(alice_, "rollout.approve", Sha256Digest::FromView(digest).value()))
            .has_value());
    Report(0, "COMMITTED");
    return Sets(0, ReferenceRole::kRecovery);
  };
  EXPECT_EQ(commit("2.1.0", 5, true), 0u) << "an image without an index is below every floor";
  EXPECT_EQ(commit("2.2.0", 5, true), 2u) << "the same index is not below";
  EXPECT_EQ(commit("2.3.0", 6, false), 2u) << "no floor was asked for";
  EXPECT_EQ(commit("2.4.0", 7, true), 0u) << "6 is below 7";
  EXPECT_GT(Sets(0, ReferenceRole::kCommitted), 0u);
}

TEST_F(RolloutOperationsTest, FailedCanaryHaltsAndItsValuesClose) {
  Draft();
  Approve();
  Report(0, "ROLLED_BACK", "attestation");
  EXPECT_EQ(State(), "halted");
  EXPECT_EQ(Sets(0, ReferenceRole::kPending), 0u);
  EXPECT_EQ(Sets(0, ReferenceRole::kCommitted), 0u);
  EXPECT_EQ(RuleOf(operations_.Advance(alice_.who, "v2")), "rollout.canaries");
}

TEST_F(RolloutOperationsTest, FirstReportOfAnEndKeepsItsReason) {
  Draft();
  Approve();
  Report(0, "ROLLED_BACK", "attestation");
  Report(0, "ROLLED_BACK", "");
  const JsonValue shown = operations_.Show("v2").value();
  EXPECT_EQ(*(*shown.Find("devices")->if_array())[0].Find("gate")->if_string(), "attestation");
}

// A device says what became of its last update whenever it connects.
TEST_F(RolloutOperationsTest, ReportOnAnotherReleaseChangesNothing) {
  Draft();
  Approve();
  for (const std::optional<ReleaseDigest>& release :
       {std::optional<ReleaseDigest>(), std::optional(ReleaseDigest::FromArray({9}))})
    for (const char* state : {"COMMITTED", "ROLLED_BACK", "FAILED"})
      operations_.OnReport({devices_[0].id, release, state, 100, "B", "boot", ""});
  EXPECT_EQ(State(), "canary");
  EXPECT_EQ(Sets(0, ReferenceRole::kCommitted), 0u);
  EXPECT_GT(Sets(0, ReferenceRole::kPending), 0u);
}

TEST_F(RolloutOperationsTest, CompletesWhenTheLastDeviceHasCommitted) {
  Draft();
  Approve();
  Report(0, "COMMITTED");
  ASSERT_TRUE(operations_.Advance(alice_.who, "v2").has_value());
  Report(1, "COMMITTED");
  EXPECT_EQ(State(), "ramp");
  Report(2, "COMMITTED");
  EXPECT_EQ(State(), "complete");
}

TEST_F(RolloutOperationsTest, RolloutOfCanariesAloneCompletesWhenAdvanced) {
  RolloutOrder order = Order();
  order.canary = {devices_[0].name, devices_[1].name, devices_[2].name};
  ASSERT_TRUE(operations_.Create(alice_.who, order).has_value());
  Approve();
  for (size_t i = 0; i < 3; ++i) Report(i, "COMMITTED");
  ASSERT_TRUE(operations_.Advance(alice_.who, "v2").has_value());
  EXPECT_EQ(State(), "complete");
}

TEST_F(RolloutOperationsTest, PauseHoldsTheRestAndResumeGoesOn) {
  Draft();
  Approve();
  ASSERT_TRUE(operations_.Pause(alice_.who, "v2").has_value());
  Report(0, "COMMITTED");
  EXPECT_EQ(RuleOf(operations_.Advance(alice_.who, "v2")), "rollout.state");
  EXPECT_EQ(RuleOf(operations_.Pause(alice_.who, "v2")), "rollout.state");
  ASSERT_TRUE(operations_.Resume(alice_.who, "v2").has_value());
  EXPECT_EQ(State(), "canary");
  EXPECT_EQ(RuleOf(operations_.Resume(alice_.who, "v2")), "rollout.state");
}

TEST_F(RolloutOperationsTest, AbortClosesTheValuesOfWhoHasNotCommitted) {
  Draft();
  Approve();
  ASSERT_TRUE(operations_.Abort(alice_.who, "v2").has_value());
  EXPECT_EQ(State(), "aborted");
  EXPECT_EQ(Sets(0, ReferenceRole::kPending), 0u);
  EXPECT_FALSE(IsAssigned(0));
  for (const auto& act :
       {&RolloutOperations::Pause, &RolloutOperations::Resume, &RolloutOperations::Abort})
    EXPECT_EQ(RuleOf((operations_.*act)(alice_.who, "v2")), "rollout.state");
}

TEST_F(RolloutOperationsTest,
       AWithdrawnReleaseHaltsWhatRunsAndClosesTheValuesOfWhoHasNotCommitted) {
  RolloutOrder order = Order();
  order.canary = {devices_[0].name, devices_[1].name};
  ASSERT_TRUE(operations_.Create(alice_.who, order).has_value());
  Approve();
  Report(0, "COMMITTED");
  Withdraw({});
  EXPECT_EQ(State(), "halted");
  EXPECT_EQ(*operations_.Show("v2")->Find("why")->if_string(), "its release was withdrawn");
  EXPECT_EQ(Sets(1, ReferenceRole::kPending), 0u);
  EXPECT_GT(Sets(0, ReferenceRole::kCommitted), 0u) << "who runs it goes on being judged by it";
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit WHERE event = 'release.withdrawn'"), 1);
  Withdraw({});
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit WHERE event = 'release.withdrawn'"), 1) << "once";
}

TEST_F(RolloutOperationsTest, AWithdrawnReleaseAbortsWhatHasNotBegunAndStartsNothingAnew) {
  Draft();
  Withdraw({"releases/edge-os/1.0.0/release.json"});
  EXPECT_EQ(State(), "aborted");
  RolloutOrder again = Order();
  again.name = "again";
  EXPECT_EQ(RuleOf(operations_.Create(alice_.who, again)), "rollout.release-withdrawn");
  Withdraw({kPath});  // it is published again
  EXPECT_TRUE(operations_.Create(alice_.who, again).has_value());
}

TEST_F(RolloutOperationsTest, AWithdrawnReleaseLeavesFinishedAndOtherRolloutsAlone) {
  Draft();
  Approve();
  ASSERT_TRUE(operations_.Pause(alice_.who, "v2").has_value());
  ota::TufRepository repository(UnixTime::FromSeconds(1000), "");
  Publish("releases/edge-os/3.0.0/release.json", ota::AddSampleRelease(repository, "3.0.0", 3));
  Withdraw({kPath});
  EXPECT_EQ(State(), "paused") << "of another release";
  Withdraw({"releases/edge-os/3.0.0/release.json"});
  EXPECT_EQ(State(), "halted");
  ASSERT_TRUE(operations_.Abort(alice_.who, "v2").has_value());
  Withdraw({kPath});
  Withdraw({});
  EXPECT_EQ(State(), "aborted");
}

TEST_F(RolloutOperationsTest, ReportThatCannotBeMeantChangesNothing) {
  Draft();
  Approve();
  Report(0, "DANCING");
  Report(1, "COMMITTED");  // not assigned
  operations_.OnReport({"no-such-device", release_, "COMMITTED", 0, "", "", ""});
  EXPECT_EQ(State(), "canary");
  EXPECT_EQ(Sets(1, ReferenceRole::kCommitted), 0u);
}

TEST_F(RolloutOperationsTest, RecordsAReleaseOnceAndRefusesWhatIsNone) {
  EXPECT_EQ(Count("SELECT COUNT(*) FROM releases"), 1);
  EXPECT_FALSE(Write([&](Transaction& t) {
                 return RecordRelease(t, "x/release.json", AsBytes("{}"), now_);
               }).has_value());
  EXPECT_EQ(Count("SELECT COUNT(*) FROM releases"), 1);
}

TEST_F(RolloutOperationsTest, ALogThatComesAfterTheEndIsKeptAndTheReasonStays) {
  Draft();
  Approve();
  Report(0, "ROLLED_BACK", "probes");
  const auto again = [&](const std::string& gate, const std::string& log) {
    operations_.OnReport({devices_[0].id, release_, "ROLLED_BACK", 0, "B", gate, "later", log});
    Snapshot snapshot = database_->Read().value();
    return FindAssignment(snapshot.connection(), devices_[0].id).value().value();
  };
  EXPECT_EQ(again("", "").gate, "probes");
  const RolloutDeviceRow row = again("", "web: connection refused\n");
  EXPECT_EQ(row.gate, "probes");
  EXPECT_EQ(row.detail, "");
  EXPECT_EQ(row.log_tail, "web: connection refused\n");
  EXPECT_EQ(again("boot", "another").log_tail, "web: connection refused\n");
  const JsonValue shown = operations_.Show("v2").value();
  EXPECT_EQ(*shown.Find("devices")->if_array()->at(0).Find("log")->if_string(),
            "web: connection refused\n");
}

TEST_F(RolloutOperationsTest, AReasonThatOnlyTheSecondReportBroughtIsKept) {
  Draft();
  Approve();
  Report(0, "ROLLED_BACK");
  operations_.OnReport(
      {devices_[0].id, release_, "ROLLED_BACK", 0, "B", "probes", "web: down", "log"});
  Snapshot snapshot = database_->Read().value();
  const RolloutDeviceRow row =
      FindAssignment(snapshot.connection(), devices_[0].id).value().value();
  EXPECT_EQ(row.gate, "probes");
  EXPECT_EQ(row.detail, "web: down");
}

TEST_F(RolloutOperationsTest, TheDeviceIsShownWithWhatItSaidOfItsUpdate) {
  DeviceOperations devices(Parts(), {[](const std::string&) { return false; },
                                     [](const std::string&) { return std::string_view(); }});
  EXPECT_EQ(devices.Show(devices_[0].name, now_)->Find("update_gate"), nullptr) << "in no rollout";
  Draft();
  Approve();
  operations_.OnReport(
      {devices_[0].id, release_, "VERIFIED", 100, "B", "inhibited", "surgeon: busy", ""});
  const JsonValue shown = devices.Show(devices_[0].name, now_).value();
  EXPECT_EQ(*shown.Find("update_rollout")->if_string(), "v2");
  EXPECT_EQ(*shown.Find("update_state")->if_string(), "VERIFIED");
  EXPECT_EQ(*shown.Find("update_gate")->if_string(), "inhibited");
  EXPECT_EQ(*shown.Find("update_detail")->if_string(), "surgeon: busy");
  EXPECT_EQ(*shown.Find("update_log")->if_string(), "");
}

TEST_F(RolloutOperationsTest, ADegradedDeviceIsShownAndCountedUntilItRecovers) {
  DeviceOperations devices(Parts(), {[](const std::string&) { return false; },
                                     [](const std::string&) { return std::string_view(); }});
  const auto degraded = [&] {
    Snapshot snapshot = database_->Read().value();
    return CountDegraded(snapshot.connection()).value();
  };
  Draft();
  Approve();
  Report(0, "ROLLED_BACK", "probes");
  EXPECT_EQ(degraded(), 0);
  operations_.OnReport(
      {devices_[0].id, release_, "DEGRADED", 0, "B", "units", "web.service: failed", "log"});
  EXPECT_EQ(degraded(), 1);
  const JsonValue shown = devices.Show(devices_[0].name, now_).value();
  EXPECT_EQ(*shown.Find("update_state")->if_string(), "DEGRADED");
  EXPECT_EQ(*shown.Find("update_gate")->if_string(), "units");
  EXPECT_EQ(*shown.Find("update_log")->if_string(), "log");
  EXPECT_EQ(State(), "halted") << "a canary that failed";
  Report(0, "ROLLED_BACK", "probes");
  EXPECT_EQ(degraded(), 0);
}

TEST_F(RolloutOperationsTest, DeviceAndRolloutShowHowMuchOfADeltaFellBack) {
  DeviceOperations devices(Parts(), {[](const std::string&) { return false; },
                                     [](const std::string&) { return std::string_view(); }});
  Draft();
  Approve();
  ota::ImageOrigins origins;
  origins.Count(ota::Origin::kDelta, 4'194'304);
  origins.Count(ota::Origin::kFull, 1000);
  Report(0, "PLANNED");
  EXPECT_EQ(devices.Show(devices_[0].name, now_)->Find("update_origins"), nullptr) << "unknown";
  operations_.OnReport({devices_[0].id, release_, "WRITING", 100, "B", "", "", "", origins});
  Report(0, "VERIFIED");  // does not say, and takes nothing back

  const JsonValue device = devices.Show(devices_[0].name, now_).value();
  const JsonValue rollout = operations_.Show("v2").value();

  const JsonValue& row = rollout.Find("devices")->if_array()->at(0);
  EXPECT_EQ(*device.Find("update_origins")->Find("full")->Find("bytes")->if_integer(), 1000);
  EXPECT_EQ(WriteJson(*row.Find("origins")), WriteJson(ota::OriginsJson(origins)));
}

TEST(CleanedReport, IsBoundedAndSteersNoTerminal) {
  DeviceUpdateReport hostile;
  hostile.percent = 4'000'000'000;
  hostile.slot = std::string(5000, 'B');
  hostile.gate = "\x1b]0;owned\x07\nprobes";
  hostile.detail = std::string(100'000, '\n');
  for (int i = 0; i < 10'000; ++i)
    hostile.log_tail += "\x1b[31mline\xff " + std::to_string(i) + "\n";
  hostile.origins.Count(ota::Origin::kFull, UINT64_MAX);
  const DeviceUpdateReport report = Cleaned(hostile);
  EXPECT_EQ(report.origins[ota::Origin::kFull], (ota::OriginCount{1, kReportCountMax}));
  EXPECT_EQ(report.percent, 100u);
  EXPECT_EQ(report.slot.size(), kReportWordMax);
  EXPECT_EQ(report.gate, "?]0;owned? probes");
  EXPECT_EQ(report.detail, std::string(kReportDetailMax, ' '));
  EXPECT_LE(report.log_tail.size(), kReportLogMax);
  EXPECT_TRUE(report.log_tail.ends_with("?[31mline? 9999\n"));
}

}  // namespace
}  // namespace sallyport::server
