// What operators may do to devices, and what each act leaves behind.
#include "attestation-server/operations/devices.h"

#include "attestation-server/store/floors.h"
#include "tests/unit/attestation-server/operations/operations_fixture.h"

namespace sallyport::server {
namespace {

class DeviceOperationsTest : public OperationsTest {
 protected:
  DeviceRecord Make(DeviceState state, std::set<QuarantineCause> causes = {}) {
    DeviceRecord device = MakeDevice(1);
    device.state = state;
    device.causes = std::move(causes);
    Keep(device);
    return device;
  }
  std::string_view StateOf(const DeviceRecord& device) { return TextOf(Stored(device.id).state); }
  int64_t AuditEntries() { return Count("SELECT COUNT(*) FROM audit"); }

  DeviceOperations operations_{
      Parts(),
      {[](const std::string&) { return false; }, [](const std::string&) { return "silent"; }}};
};

TEST_F(DeviceOperationsTest, FindsADeviceByNameAndById) {
  const DeviceRecord device = Make(DeviceState::kActive);

  EXPECT_TRUE(operations_.Show(device.name, now_).has_value());
  EXPECT_TRUE(operations_.Show(device.id, now_).has_value());
  EXPECT_EQ(RuleOf(operations_.Show("nobody", now_)), "device.unknown");
  EXPECT_EQ(RuleOf(operations_.Explain("nobody", now_)), "device.unknown");
}

TEST_F(DeviceOperationsTest, ListsTheAlarmOfEachDevice) {
  Make(DeviceState::kActive);
  const auto listed = operations_.List("", 10, now_);
  EXPECT_EQ(*listed->if_array()->front().Find("alarm")->if_string(), "silent");
}

TEST_F(DeviceOperationsTest, ShowsExpiredEvidenceAsExpiredPosture) {
  const DeviceRecord device = Make(DeviceState::kActive);

  const auto shown = operations_.Show(device.name, device.valid_until);

  EXPECT_EQ(*shown->Find("posture")->if_string(), "expired");
}

TEST_F(DeviceOperationsTest, ShowsTheCertifiedFloorsAndWhatAFindingMeans) {
  const DeviceRecord device = Make(DeviceState::kActive);
  const auto floors = [&] { return *operations_.Show(device.name, now_)->Find("floors"); };
  EXPECT_EQ(WriteJson(floors()), R"({"state":"none"})");

  FloorsRow row{.device_id = device.id,
                .floors = {1, 0, 2, 0, 0},
                .highest = {3, 0, 2, 0, 0},
                .certified_at = now_,
                .finding = "floors.lowered",
                .finding_since = now_};
  const auto keep = [&] {
    ASSERT_TRUE(Write([&](Transaction& t) { return PutFloors(t.connection(), row); }));
  };
  keep();
  EXPECT_EQ(*floors().Find("state")->if_string(), "certified");
  EXPECT_EQ(*floors().Find("held")->Find("image_targets")->if_integer(), 2);
  EXPECT_EQ(*floors().Find("highest")->Find("rollback_index")->if_integer(), 3);
  EXPECT_EQ(*floors().Find("finding")->if_string(), "floors.lowered");
  EXPECT_NE(floors().Find("meaning")->if_string()->find("adopt-floors"), std::string::npos);

  row.finding = "floors.absent";
  keep();
  EXPECT_EQ(*floors().Find("state")->if_string(), "not-shown");
}

TEST_F(DeviceOperationsTest, ApprovalAdmitsAPendingDevice) {
  const DeviceRecord device = Make(DeviceState::kPending);

  const auto approved = operations_.Approve(alice_.who, device.name,
                                            Approved(alice_, "device.approve", device.name), now_);

  ASSERT_TRUE(approved.has_value()) << approved.error().ToString();
  EXPECT_EQ(StateOf(device), "enrolled");
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit WHERE event = 'device.approved'"), 1);
}

TEST_F(DeviceOperationsTest, ApprovalOfADeviceThatDoesNotWaitIsAConflict) {
  for (const DeviceState state : {DeviceState::kEnrolled, DeviceState::kActive,
                                  DeviceState::kQuarantined, DeviceState::kRetired}) {
    DeviceRecord device = MakeDevice(static_cast<uint8_t>(10 + static_cast<int>(state)));
    device.state = state;
    Keep(device);

    EXPECT_EQ(RuleOf(operations_.Approve(alice_.who, device.name,
                                         Approved(alice_, "device.approve", device.name), now_)),
              "device.state");
    EXPECT_EQ(Stored(device.id).state, state);
  }
}

TEST_F(DeviceOperationsTest, ApprovalMustBeTheCallersOwnForThisActAndThisDevice) {
  const DeviceRecord device = Make(DeviceState::kPending);
  const auto approve = [&](const std::vector<SignedApproval>& approvals) {
    return RuleOf(operations_.Approve(alice_.who, device.name, approvals, now_));
  };

  EXPECT_EQ(approve({}), "approval.missing");
  EXPECT_EQ(approve(Approved(bob_, "device.approve", device.name)), "approval.signature");
  EXPECT_EQ(approve(Approved(alice_, "device.release", device.name)), "approval.action");
  EXPECT_EQ(approve(Approved(alice_, "device.approve", "another")), "approval.digest");
  EXPECT_EQ(approve(Approved(alice_, "device.approve", device.name, Seconds(0))),
            "approval.expired");
  EXPECT_EQ(StateOf(device), "pending");
  EXPECT_EQ(AuditEntries(), 0);
}

TEST_F(DeviceOperationsTest, QuarantineKillsEveryCertificateAndTellsTheFleet) {
  const DeviceRecord device = Make(DeviceState::kActive);

  ASSERT_TRUE(
      operations_.Quarantine(alice_.who, device.name, "operator", "OPS-7", now_).has_value());

  const DeviceRecord stored = Stored(device.id);
  EXPECT_EQ(stored.state, DeviceState::kQuarantined);
  EXPECT_EQ(stored.epoch, device.epoch + 1);
  EXPECT_EQ(stored.reason, "OPS-7");
  EXPECT_EQ(events_.revoked,
            (std::vector<std::pair<std::string, uint64_t>>{{device.id, device.epoch + 1}}));
}

TEST_F(DeviceOperationsTest, QuarantineNamesACauseThatOperatorsMayGive) {
  const DeviceRecord device = Make(DeviceState::kActive);

  EXPECT_EQ(RuleOf(operations_.Quarantine(alice_.who, device.name, "posture", "x", now_)),
            "quarantine.cause");
  EXPECT_FALSE(
      operations_.Quarantine(alice_.who, device.name, "no-such-cause", "x", now_).has_value());
  EXPECT_EQ(StateOf(device), "active");
  EXPECT_TRUE(events_.revoked.empty());
}

TEST_F(DeviceOperationsTest, RetiredDeviceIsNotQuarantinedAgain) {
  const DeviceRecord device = Make(DeviceState::kRetired);

  EXPECT_EQ(RuleOf(operations_.Quarantine(alice_.who, device.name, "operator", "x", now_)),
            "device.state");
  EXPECT_TRUE(events_.revoked.empty());
}

class ReleaseTest : public DeviceOperationsTest {
 protected:
  std::string Release(const Person& person, const DeviceRecord& device, Duration life = Hours(1)) {
    return RuleOf(operations_.Release(person.who, device.name,
                                      Approved(person, "device.release", device.name, life), now_));
  }
};

TEST_F(ReleaseTest, NeedsTwoOperators) {
  const DeviceRecord device = Make(DeviceState::kQuarantined, {QuarantineCause::kOperator});

  EXPECT_EQ(Release(alice_, device), "accepted");
  EXPECT_EQ(StateOf(device), "quarantined");
  EXPECT_EQ(Release(alice_, device, Hours(2)), "accepted");
  EXPECT_EQ(StateOf(device), "quarantined") << "one operator, twice";
  EXPECT_EQ(Release(bob_, device), "accepted");
  EXPECT_EQ(StateOf(device), "enrolled");
}

TEST_F(ReleaseTest, DoesNotClearAPostureThatFailed) {
  const DeviceRecord device =
      Make(DeviceState::kQuarantined, {QuarantineCause::kOperator, QuarantineCause::kPosture});

  Release(alice_, device);
  Release(bob_, device);

  const DeviceRecord stored = Stored(device.id);
  EXPECT_EQ(stored.state, DeviceState::kQuarantined);
  EXPECT_EQ(stored.causes, std::set{QuarantineCause::kPosture});
}

TEST_F(ReleaseTest, ApprovalsOfOneQuarantineDoNotEndTheNext) {
  const DeviceRecord device = Make(DeviceState::kQuarantined, {QuarantineCause::kOperator});
  Release(alice_, device);
  Release(bob_, device);
  ASSERT_EQ(StateOf(device), "enrolled");

  ASSERT_TRUE(operations_.Quarantine(alice_.who, device.name, "clone", "x", now_).has_value());
  EXPECT_EQ(Release(alice_, device, Hours(3)), "accepted");

  EXPECT_EQ(StateOf(device), "quarantined");
}

TEST_F(ReleaseTest, ApprovalGivenBeforeANewCauseIsVoid) {
  const DeviceRecord device = Make(DeviceState::kQuarantined, {QuarantineCause::kOperator});
  Release(alice_, device);

  ASSERT_TRUE(operations_.Quarantine(bob_.who, device.id, "clone", "x", now_).has_value());
  EXPECT_EQ(Release(bob_, device), "accepted");

  EXPECT_EQ(StateOf(device), "quarantined");
}

TEST_F(ReleaseTest, ApprovalThatHasRunOutDoesNotCount) {
  const DeviceRecord device = Make(DeviceState::kQuarantined, {QuarantineCause::kOperator});
  Release(alice_, device, Seconds(10));

  now_ = now_ + Seconds(10);
  Release(bob_, device);

  EXPECT_EQ(StateOf(device), "quarantined");
}

TEST_F(ReleaseTest, OfADeviceThatIsNotQuarantinedIsAConflict) {
  EXPECT_EQ(Release(alice_, Make(DeviceState::kActive)), "device.state");
}

TEST_F(DeviceOperationsTest, DecommissionedDeviceIsDeadForGood) {
  const DeviceRecord device = Make(DeviceState::kQuarantined, {QuarantineCause::kClone});
  const auto decommission = [&] {
    return RuleOf(operations_.Decommission(
        alice_.who, device.name, Approved(alice_, "device.decommission", device.name), now_));
  };

  EXPECT_EQ(decommission(), "accepted");
  EXPECT_EQ(StateOf(device), "retired");
  EXPECT_TRUE(Stored(device.id).causes.empty());
  EXPECT_EQ(events_.revoked.size(), 1u);
  EXPECT_EQ(decommission(), "device.state");
  EXPECT_EQ(events_.revoked.size(), 1u);
}

TEST_F(DeviceOperationsTest, ListIsSortedByNameAndPaged) {
  for (uint8_t i = 1; i <= 3; ++i) Keep(MakeDevice(i));

  const auto page = operations_.List("cam-1", 1, now_);

  ASSERT_EQ(page->if_array()->size(), 1u);
  EXPECT_EQ(*(*page->if_array())[0].Find("name")->if_string(), "cam-2");
}

}  // namespace
}  // namespace sallyport::server
