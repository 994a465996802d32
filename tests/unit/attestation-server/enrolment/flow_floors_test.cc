// Rollback floors that the TPM certifies: at enrolment and at each new boot, never at a renewal.
#include "attestation-server/enrolment/floor_history.h"
#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {
namespace {

class FloorsFlowTest : public FlowTest {
 protected:
  void EnrolWithFloors() {
    device_.floors = {{10, 10, 10, 10, 10}, {13, 11, 17, 10, 10}};
    MustEnrol(device_);
  }
  std::string Boot(const ProofOptions& options = {}) {
    device_.Boot("uki 1");
    now_ = now_ + Seconds(1);
    return RuleOf(Reattest(device_, options));
  }
  std::optional<FloorsRow> Row() {
    auto snapshot = database_->Read();
    return FindFloors(snapshot.value().connection(), IdOf(device_)).value();
  }
  int64_t Findings() {
    auto snapshot = database_->Read();
    return CountFloorFindings(snapshot.value().connection()).value();
  }
  size_t Audited(std::string_view event) {
    const std::vector<AuditEntry> entries = Audit();
    return static_cast<size_t>(std::ranges::count(entries, event, &AuditEntry::event));
  }
  // Tampered sends the floors of an honest proof after `change`.
  std::string Tampered(const std::function<void(ReceivedEvidence&)>& change) {
    device_.Boot("uki 1");
    const IssuedChallenge challenge = Challenge(device_, pki::Purpose::kReattest);
    ProveInput proof = device_.Prove(pki::Purpose::kReattest, challenge, leaf_);
    change(proof.evidence);
    return RuleOf(flow_->Prove(channel_, proof, now_));
  }

  FakeTpmDevice device_{vendor_};
};

TEST_F(FloorsFlowTest, AreRecordedAtEnrolmentAndToldTheDevice) {
  device_.floors = {{10, 10, 10, 10, 10}, {13, 11, 17, 10, 10}};
  const Admitted admitted = MustEnrol(device_);
  EXPECT_EQ(admitted.recorded_floors, (pki::FloorCounts{3, 1, 7, 0, 0}));
  EXPECT_EQ(Row()->highest, *admitted.recorded_floors);
  EXPECT_EQ(Row()->finding, "");
}

TEST_F(FloorsFlowTest, ADeviceWithoutFloorsIsRecordedAsSuchAndNotJudged) {
  EXPECT_EQ(MustEnrol(device_).recorded_floors, std::nullopt);
  EXPECT_EQ(Boot(), "admitted");
  EXPECT_EQ(Row(), std::nullopt);
  EXPECT_EQ(Findings(), 0);
}

TEST_F(FloorsFlowTest, RenewalsShowNoneAndChangeNothing) {
  EnrolWithFloors();
  const std::optional<FloorsRow> before = Row();
  now_ = now_ + Minutes(1);
  EXPECT_EQ(RuleOf(Renew(device_)), "admitted");
  EXPECT_EQ(Row(), before);

  const IssuedChallenge challenge = Issued(flow_->BeginRenewal(IdOf(device_), now_));
  ProveInput proof = device_.Prove(pki::Purpose::kRenew, challenge, leaf_, {.certify_again = true});
  proof.evidence.floors.resize(1);
  EXPECT_EQ(RuleOf(flow_->Renew(IdOf(device_), channel_, proof, now_)), "evidence.floors");
}

TEST_F(FloorsFlowTest, ForgedFloorsAreRefusedAndLeaveTheDeviceAlone) {
  EnrolWithFloors();
  const std::optional<FloorsRow> before = Row();
  EXPECT_EQ(Tampered([](ReceivedEvidence& e) { e.floors.pop_back(); }), "floors.complete");
  EXPECT_EQ(Tampered([](ReceivedEvidence& e) { e.floors[3].attest.back() ^= 1; }),
            "floors.signature");
  EXPECT_EQ(Tampered([](ReceivedEvidence& e) { e.floors.resize(7); }), "evidence.size");
  EXPECT_EQ(Tampered([](ReceivedEvidence& e) { e.floors[0].attest.resize(1025); }),
            "evidence.size");
  EXPECT_EQ(Tampered([](ReceivedEvidence& e) { e.floors[0].signature.resize(1025); }),
            "evidence.size");
  EXPECT_EQ(Row(), before);
  EXPECT_EQ(Stored(device_)->posture, Posture::kPassing);
}

TEST_F(FloorsFlowTest, FloorsOfAnEarlierProofAreNoAnswer) {
  EnrolWithFloors();
  std::vector<ReceivedFloor> earlier;
  EXPECT_EQ(Tampered([&](ReceivedEvidence& e) { earlier = e.floors; }), "admitted");
  EXPECT_EQ(Tampered([&](ReceivedEvidence& e) { e.floors = earlier; }), "floors.extra-data");
}

TEST_F(FloorsFlowTest, LoweredFloorsAreAFindingInTheAuditAndNoPosture) {
  EnrolWithFloors();
  device_.floors = {{18, 18, 18, 18, 18}, {18, 18, 18, 18, 18}};
  EXPECT_EQ(Boot(), "admitted");
  EXPECT_EQ(Row()->finding, kFloorsLowered);
  EXPECT_EQ(Stored(device_)->posture, Posture::kPassing);
  EXPECT_EQ(Boot(), "admitted");
  EXPECT_EQ(Audited("device-floors"), 1u) << "said once";
  EXPECT_EQ(Findings(), 1);

  device_.floors = {{15, 17, 11, 18, 18}, {18, 18, 18, 18, 18}};  // adopted
  EXPECT_EQ(Boot(), "admitted");
  EXPECT_EQ(Row()->finding, "");
  EXPECT_EQ(Audited("device-floors"), 2u);
}

TEST_F(FloorsFlowTest, AClearIsToldFromAnOwnerWhoUndefined) {
  EnrolWithFloors();
  device_.Boot("uki 1");
  device_.Boot("uki 1");
  EXPECT_EQ(Boot(), "admitted");
  device_.Clear();
  device_.floors = {{18, 18, 18, 18, 18}, {18, 18, 18, 18, 18}};
  EXPECT_EQ(Boot(), "admitted");
  EXPECT_EQ(Row()->finding, kFloorsCleared);
}

TEST_F(FloorsFlowTest, FloorsThatWereShownAndAreNotAreAFinding) {
  EnrolWithFloors();
  EXPECT_EQ(Boot({.send_floors = false}), "admitted");
  EXPECT_EQ(Row()->finding, kFloorsAbsent);
  EXPECT_EQ(Boot(), "admitted");
  EXPECT_EQ(Row()->finding, "");
}

TEST_F(FloorsFlowTest, ACountThatFellIsAFinding) {
  EnrolWithFloors();
  device_.floors->counts[2] = 16;
  EXPECT_EQ(Boot(), "admitted");
  EXPECT_EQ(Row()->finding, kFloorsCountBack);
}

TEST_F(FloorsFlowTest, ABootThatFailsChangesNoRecord) {
  EnrolWithFloors();
  const std::optional<FloorsRow> before = Row();
  device_.Boot("another image");
  device_.floors->counts[0] = 20;
  EXPECT_NE(RuleOf(Reattest(device_)), "admitted");
  EXPECT_EQ(Row(), before);
}

}  // namespace
}  // namespace sallyport::server
