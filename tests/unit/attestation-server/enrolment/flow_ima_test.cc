// Which files ran, through the whole enrolment side: who is asked, what travels, what becomes of a
// device that ran something else.
#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {
namespace {

class FlowImaTest : public FlowTest {
 protected:
  FlowImaTest() {
    ImportFiles({"init", "shell"});
    Ask(true);
    device_.MeasureFiles().File("/init", "init");
  }
  void Ask(bool ima) {
    ima_ = ima;
    Restart();
  }
  std::optional<uint64_t> AskedFrom() {
    return Issued(flow_->BeginRenewal(IdOf(device_), now_)).ima_first;
  }
  std::string RenewLater(const ProofOptions& options = {}) {
    now_ = now_ + Seconds(60);
    return RuleOf(Renew(device_, options));
  }
  std::string ReattestLater(const ProofOptions& options = {}) {
    now_ = now_ + Seconds(60);
    return RuleOf(Reattest(device_, options));
  }
  bool Quarantined() {
    const DeviceRecord device = *Stored(device_);
    return device.state == DeviceState::kQuarantined && device.posture == Posture::kFailing;
  }

  FakeTpmDevice device_{vendor_};
};

TEST_F(FlowImaTest, NobodyIsAskedWhenNoClassAsks) {
  Ask(false);
  FakeTpmDevice plain(vendor_);
  const IssuedChallenge challenge = Challenge(plain, pki::Purpose::kEnrol);
  EXPECT_FALSE(challenge.ima_first.has_value());
  EXPECT_EQ(challenge.pcr_requests.front().pcrs, (std::vector<uint32_t>{0, 4, 7}));
  MustEnrol(plain);
  EXPECT_FALSE(Issued(flow_->BeginRenewal(IdOf(plain), now_)).ima_first.has_value());
}

TEST_F(FlowImaTest, AListThatNobodyAskedForIsRefused) {
  Ask(false);
  FakeTpmDevice plain(vendor_);
  EXPECT_EQ(RuleOf(Enrol(plain, {.other_ima = ReceivedIma{}})), "ima.unasked");
}

TEST_F(FlowImaTest, AsksFromTheFirstEntryAtEnrolmentAndThenForWhatIsNew) {
  const IssuedChallenge challenge = Challenge(device_, pki::Purpose::kEnrol);
  EXPECT_EQ(challenge.ima_first, 0u);
  EXPECT_EQ(challenge.pcr_requests.front().pcrs,
            (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  MustEnrol(device_);
  EXPECT_EQ(AskedFrom(), 2u);

  device_.ima().File("/bin/sh", "shell");
  EXPECT_EQ(RenewLater(), "admitted");
  EXPECT_EQ(AskedFrom(), 3u);
  EXPECT_EQ(RenewLater(), "admitted");  // nothing new
  EXPECT_EQ(AskedFrom(), 3u);
}

TEST_F(FlowImaTest, AFileThatIsNotAllowedQuarantinesAtTheNextRenewal) {
  MustEnrol(device_);
  device_.ima().File("/tmp/evil", "evil");
  now_ = now_ + Seconds(60);
  const Answer<Admitted> answer = Renew(device_);

  ASSERT_NE(RefusalOf(answer), nullptr);
  EXPECT_EQ(RefusalOf(answer)->rule, "ima.file");
  ASSERT_EQ(RefusalOf(answer)->events.size(), 1u);
  EXPECT_NE(RefusalOf(answer)->events[0].find("/tmp/evil"), std::string::npos);
  EXPECT_TRUE(Quarantined());
  EXPECT_EQ(events_.revoked.size(), 1u);
}

TEST_F(FlowImaTest, ADeviceThatHidesItsFileOrItsListIsQuarantinedToo) {
  MustEnrol(device_);
  EXPECT_EQ(RenewLater({.send_ima = false}), "ima.present");
  EXPECT_TRUE(Quarantined());
}

TEST_F(FlowImaTest, AListThatHidesAFileIsAskedForAsAWholeAndThenRefused) {
  MustEnrol(device_);
  device_.ima().File("/tmp/evil", "evil");
  EXPECT_EQ(RenewLater({.other_ima = ReceivedIma{2, {}}}), "ima.continuation");
  EXPECT_FALSE(Quarantined());
  EXPECT_EQ(AskedFrom(), 0u);
  EXPECT_EQ(RenewLater({.other_ima = ReceivedIma{0, {}}}), "ima.replay");
  EXPECT_TRUE(Quarantined());
}

TEST_F(FlowImaTest, ADeviceThatNeverCameInLeavesNothing) {
  device_.ima().File("/tmp/evil", "evil");
  EXPECT_EQ(RuleOf(Enrol(device_)), "ima.file");
  EXPECT_FALSE(Stored(device_).has_value());
}

TEST_F(FlowImaTest, ANewBootBringsTheWholeListAndClearsAFailure) {
  MustEnrol(device_);
  device_.ima().File("/tmp/evil", "evil");
  ASSERT_EQ(RenewLater(), "ima.file");
  EXPECT_EQ(ReattestLater(), "ima.file");  // the same boot stays what it was

  device_.Boot("uki 1");
  device_.MeasureFiles().File("/init", "init").File("/bin/sh", "shell");
  EXPECT_EQ(Challenge(device_, pki::Purpose::kReattest).ima_first, 0u);
  EXPECT_EQ(ReattestLater(), "admitted");
  EXPECT_EQ(AskedFrom(), 3u);
}

TEST_F(FlowImaTest, ABootWithoutImaIsRefused) {
  MustEnrol(device_);
  device_.Boot("uki 1");
  EXPECT_EQ(ReattestLater(), "ima.present");
}

TEST_F(FlowImaTest, ARestartAsksForTheWholeList) {
  MustEnrol(device_);
  Restart();
  EXPECT_EQ(AskedFrom(), 0u);
  EXPECT_EQ(RenewLater(), "admitted");
  EXPECT_EQ(AskedFrom(), 2u);
}

TEST_F(FlowImaTest, OtherReferencesAskForTheWholeListWithoutBlame) {
  MustEnrol(device_);
  ImportFiles({"agent"});
  device_.ima().File("/agent", "agent");
  EXPECT_EQ(RenewLater(), "ima.continuation");
  EXPECT_FALSE(Quarantined());
  EXPECT_EQ(RenewLater(), "admitted");
}

TEST_F(FlowImaTest, AReferenceWithoutFilesChangesNothing) {
  MustEnrol(device_);
  ImportReference("uki 2");
  EXPECT_EQ(RenewLater(), "admitted");
}

TEST_F(FlowImaTest, NoReferenceWithFilesIsNoAndNoFaultOfTheDevice) {
  MustEnrol(device_);
  Must([&](Connection& c) -> Result<Unit> {
    SP_TRY(const auto rows, References(c).ListAll(10));
    for (const ReferenceRow& row : rows)
      if (row.json.find("\"ima\"") != std::string::npos)
        SP_TRY(References(c).SetState(row.id, ReferenceState::kRetired));
    return Unit{};
  });
  EXPECT_EQ(RenewLater(), "ima.reference");
  EXPECT_FALSE(Quarantined());
}

TEST_F(FlowImaTest, ADeviceOfAnotherClassIsNotJudgedByItsFiles) {
  TokenRecord record;
  record.placement = {"berlin", "edge", {}};
  token_ = MakeToken(record);
  ReferenceRow row;
  row.device_class = "edge";
  row.json = ReferenceJson("uki 1", "edge");
  row.id = pki::Sha256(AsBytes(row.json));
  row.state = ReferenceState::kActive;
  Must([&](Connection& c) { return References(c).Insert(row); });
  device_.ima().File("/tmp/evil", "evil");

  EXPECT_EQ(RuleOf(Enrol(device_)), "admitted");  // PCR 10 was quoted, and is nobody's business
  EXPECT_FALSE(AskedFrom().has_value());
}

TEST_F(FlowImaTest, AChallengeFromBeforeTheClassAskedIsAskedAgain) {
  Ask(false);
  MustEnrol(device_);
  const IssuedChallenge old = Issued(flow_->BeginRenewal(IdOf(device_), now_));
  EXPECT_FALSE(old.ima_first.has_value());
  Ask(true);
  EXPECT_EQ(AskedFrom(), 0u);
  EXPECT_EQ(RenewLater(), "admitted");
}

TEST_F(FlowImaTest, TheStateOfOneDeviceIsNotThatOfAnother) {
  MustEnrol(device_);
  token_ = MakeToken({});
  FakeTpmDevice other(vendor_);
  other.MeasureFiles().File("/init", "init");
  MustEnrol(other);
  device_.ima().File("/bin/sh", "shell");
  ASSERT_EQ(RenewLater(), "admitted");

  EXPECT_EQ(Issued(flow_->BeginRenewal(IdOf(other), now_)).ima_first, 2u);
  EXPECT_EQ(AskedFrom(), 3u);
}

}  // namespace
}  // namespace sallyport::server
