// `explain device X release Y`: every gate is seen to pass, to fail and, where only the device
// knows, to stay open.
#include "attestation-server/operations/release_gates.h"

#include "attestation-server/operations/rollouts.h"
#include "attestation-server/store/floors.h"
#include "attestation-server/store/policies.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/tuf_repository.h"
#include "tests/unit/attestation-server/director/site_policy.h"
#include "tests/unit/attestation-server/operations/operations_fixture.h"

namespace sallyport::server {
namespace {

class ReleaseGatesTest : public OperationsTest {
 protected:
  ReleaseGatesTest() {
    wanted_ = Publish("2.0.0", 7);
    device_.posture = Posture::kPassing;
    device_.reason.clear();
    device_.valid_until = now_ + Hours(1);
    device_.state = DeviceState::kActive;
    device_.causes = {};
    device_.running_release.reset();
    Keep(device_);
  }

  using Edit = std::function<void(ota::Release&)>;
  ReleaseDigest Publish(
      const std::string& version, uint64_t index, const Edit& edit = [](ota::Release&) {}) {
    ota::TufRepository repository(UnixTime::FromSeconds(1000), "");
    ota::Release release = ota::AddSampleRelease(repository, version, index);
    edit(release);
    const std::string json = ota::WriteRelease(release);
    SP_CHECK(Write([&](Transaction& t) {
               return RecordRelease(t, "releases/edge-os/" + version + "/release.json",
                                    AsBytes(json), now_);
             }).has_value());
    return ota::ReleaseDigestOf(AsBytes(json));
  }
  void Change(const std::function<void(DeviceRecord&)>& change) {
    DeviceRecord device = Stored(device_.id);
    change(device);
    SP_CHECK(
        Write([&](Transaction& t) { return Devices(t.connection()).Update(device); }).has_value());
  }
  void Runs(const ReleaseDigest& release) {
    Change([&](DeviceRecord& device) { device.running_release = release; });
  }
  // Assigned puts the device into an approved rollout of `version`.
  void Assigned(const std::string& version = "2.0.0") {
    const std::string name = "to-" + version;
    const JsonValue made =
        rollouts_
            .Create(alice_.who,
                    {name, "releases/edge-os/" + version + "/release.json", {device_.name}, {}})
            .value();
    const Sha256Digest digest =
        Sha256Digest::FromView(HexDecode(*made.Find("digest")->if_string()).value()).value();
    SP_CHECK(rollouts_.Approve(alice_.who, name, Approved(alice_, "rollout.approve", digest))
                 .has_value());
  }
  JsonValue Explain(const std::string& release = "edge-os/2.0.0") {
    return ExplainRelease(*database_, device_.name, release, now_).value();
  }
  std::string Answer() { return *Explain().Find("answer")->if_string(); }
  std::string Log() { return *Explain().Find("log")->if_string(); }
  // Gate is `result: need / have` of one gate, "none" when it is not there.
  std::string Gate(std::string_view name) {
    const JsonValue json = Explain();
    for (const JsonValue& gate : *json.Find("gates")->if_array())
      if (*gate.Find("gate")->if_string() == name)
        return *gate.Find("result")->if_string() + ": " + *gate.Find("need")->if_string() + " / " +
               *gate.Find("have")->if_string();
    return "none";
  }

  FakeClock clock_{now_};
  RolloutOperations rollouts_{Parts(), clock_, [] {}};
  DeviceRecord device_ = MakeDevice(1);
  ReleaseDigest wanted_ = ReleaseDigest::FromArray({});
};

TEST_F(ReleaseGatesTest, SaysYesWhenEveryGateIsOpen) {
  Runs(Publish("1.0.0", 6));
  Assigned();
  EXPECT_EQ(Answer(), "yes") << WriteJson(Explain());
  EXPECT_EQ(*Explain().Find("running")->if_string(), "edge-os 1.0.0");
}

TEST_F(ReleaseGatesTest, LeavesToTheDeviceWhatOnlyItKnows) {
  Assigned();
  EXPECT_EQ(Answer(), "open");
  EXPECT_EQ(Gate("hardware"), "open: virtual-x86_64 / known to the device alone");
  EXPECT_EQ(Gate("min-version"), "open: at least 1.0.0 / known to the device alone");
  EXPECT_EQ(Gate("rollback"), "open: not below the device's floor / index 7");
}

TEST_F(ReleaseGatesTest, TakesAReleaseByVersionPathOrDigest) {
  const std::string digest = HexEncode(wanted_);
  for (const std::string& name :
       {std::string("edge-os/2.0.0"), std::string("releases/edge-os/2.0.0/release.json"), digest})
    EXPECT_EQ(*Explain(name).Find("release_digest")->if_string(), digest);
  EXPECT_EQ(RuleOf(ExplainRelease(*database_, device_.name, "edge-os/9.0.0", now_)),
            "release.unknown");
  EXPECT_EQ(RuleOf(ExplainRelease(*database_, device_.name, std::string(64, 'a'), now_)),
            "release.unknown");
  EXPECT_EQ(RuleOf(ExplainRelease(*database_, "nobody", "edge-os/2.0.0", now_)), "device.unknown");
}

TEST_F(ReleaseGatesTest, AWithdrawnReleaseIsANo) {
  Runs(Publish("1.0.0", 6));
  Assigned();
  EXPECT_EQ(Gate("published"), "pass: signed by targets / published");
  ASSERT_TRUE(Write([&](Transaction& t) { return RecordWithdrawals(t, {}, now_); }).has_value());
  EXPECT_EQ(Answer(), "no");
  EXPECT_EQ(Gate("published"), "fail: signed by targets / withdrawn");
}

TEST_F(ReleaseGatesTest, AnotherHardwareIsANo) {
  Runs(Publish("1.0.0", 6, [](ota::Release& r) { r.hardware = {"board-7"}; }));
  EXPECT_EQ(Gate("hardware"), "fail: virtual-x86_64 / one of board-7 (runs edge-os 1.0.0)");
  EXPECT_EQ(Answer(), "no");
  Runs(Publish("1.0.1", 6, [](ota::Release& r) { r.hardware = {"board-7", "virtual-x86_64"}; }));
  EXPECT_TRUE(Gate("hardware").starts_with("open: ")) << "it is one of two, which is not known";
}

TEST_F(ReleaseGatesTest, TooOldAReleaseIsANo) {
  Runs(Publish("0.9.0", 6));
  EXPECT_EQ(Gate("min-version"), "fail: at least 1.0.0 / edge-os 0.9.0");
}

TEST_F(ReleaseGatesTest, TheFloorThatTheTpmCertifiedDecidesUnlessThereIsAFinding) {
  FloorsRow floors{.device_id = device_.id, .floors = {7, 0, 0, 0, 0}};
  const auto certify = [&] {
    ASSERT_TRUE(Write([&](Transaction& t) { return PutFloors(t.connection(), floors); }));
  };
  certify();
  EXPECT_EQ(Gate("rollback"), "pass: index of at least 7, certified by its TPM / index 7");
  floors.floors[0] = 8;
  certify();
  EXPECT_EQ(Gate("rollback"), "fail: index of at least 8, certified by its TPM / index 7");
  floors.finding = "floors.absent";
  certify();
  EXPECT_TRUE(Gate("rollback").starts_with("open: "));
  floors.finding.clear();
  floors.floors[0] = 6;
  certify();
  Runs(Publish("1.0.0", 9, [](ota::Release& r) { r.security_floor = true; }));
  EXPECT_EQ(Gate("rollback"), "fail: index of at least 9, certified by its TPM / index 7")
      << "raised by the release that runs";
}

TEST_F(ReleaseGatesTest, ALowerRollbackIndexIsANoUnderAFloorAndOpenWithoutOne) {
  Runs(Publish("1.0.0", 8, [](ota::Release& r) { r.security_floor = true; }));
  EXPECT_EQ(Gate("rollback"), "fail: index of at least 8 / index 7");
  Runs(Publish("1.0.1", 8));
  EXPECT_TRUE(Gate("rollback").starts_with("open: "));
  Runs(Publish("1.0.2", 7, [](ota::Release& r) { r.security_floor = true; }));
  EXPECT_TRUE(Gate("rollback").starts_with("pass: "));
}

TEST_F(ReleaseGatesTest, NoRolloutOrOneOfAnotherReleaseIsANo) {
  Runs(Publish("1.0.0", 6));
  EXPECT_EQ(Gate("rollout"), "fail: assigned by a rollout / in no rollout");
  EXPECT_EQ(Gate("reference-values"), "fail: open for this device / closed");
  Assigned("1.0.0");
  EXPECT_EQ(Gate("rollout"),
            "fail: assigned by a rollout / rollout to-1.0.0 (canary) assigns "
            "another release");
  EXPECT_EQ(Gate("reference-values"), "fail: open for this device / closed");
  EXPECT_EQ(Answer(), "no");
}

TEST_F(ReleaseGatesTest, AnOpenRolloutOpensItsValues) {
  Assigned();
  EXPECT_EQ(Gate("rollout"), "pass: assigned by a rollout / rollout to-2.0.0 (canary), IDLE");
  EXPECT_EQ(Gate("reference-values"), "pass: open for this device / open as pending");
  EXPECT_EQ(Gate("trial"), "none");
}

TEST_F(ReleaseGatesTest, AFailedAttemptIsANoWithTheDevicesOwnWords) {
  Assigned();
  rollouts_.OnReport({device_.id, wanted_, "ROLLED_BACK", 100, "A", "health", "two panics"});
  EXPECT_EQ(Gate("trial"), "fail: no failed attempt / ROLLED_BACK at gate health: two panics");
  EXPECT_EQ(Log(), "");
  rollouts_.OnReport({device_.id, wanted_, "ROLLED_BACK", 100, "A", "", "", "panic: no init"});
  EXPECT_EQ(Log(), "panic: no init");
  EXPECT_EQ(Gate("reference-values"), "fail: open for this device / closed");
}

TEST_F(ReleaseGatesTest, QuarantineAndExpiredEvidenceAreANo) {
  Change([](DeviceRecord& device) {
    device.state = DeviceState::kQuarantined;
    device.causes = {QuarantineCause::kClone};
  });
  EXPECT_EQ(Gate("quarantine"), "fail: active / quarantined (clone)");
  now_ = device_.valid_until;
  EXPECT_EQ(Gate("posture"), "fail: passing / expired");
  now_ = now_ - Milliseconds(1);
  EXPECT_EQ(Gate("posture"), "pass: passing / passing");
}

TEST_F(ReleaseGatesTest, WithoutAPolicyNoneIsNeeded) {
  EXPECT_EQ(Gate("policy"), "pass: valid, if there is one / none in force");
}

TEST_F(ReleaseGatesTest, APolicyIsValidToTheMillisecond) {
  const std::string manifest = ManifestOf(kSitePolicy, 3);
  SP_CHECK(Write([&](Transaction& t) {
             return Policies(t.connection())
                 .Apply({3, "site", pki::Sha256(AsBytes(manifest)), manifest,
                         std::string(kSitePolicy), alice_.who.id, now_});
           }).has_value());
  const auto result = [this](UnixTime at) {
    now_ = at;
    return Gate("policy").substr(0, 4);
  };
  EXPECT_EQ(result(kNow - Milliseconds(1)), "fail");
  EXPECT_EQ(result(kNow), "pass");
  EXPECT_EQ(result(kNow + Days(30) - Milliseconds(1)), "pass");
  EXPECT_EQ(result(kNow + Days(30)), "fail");
}

}  // namespace
}  // namespace sallyport::server
