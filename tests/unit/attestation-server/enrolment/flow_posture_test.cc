// What becomes of an enrolled device whose evidence fails, and how it comes back.
#include "attestation-server/enrolment/decision.h"
#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {
namespace {

class PostureTest : public FlowTest {
 protected:
  PostureTest() { MustEnrol(device_); }
  // BootAndFail boots an image nobody approved and returns the refusal.
  Refusal BootAndFail() {
    device_.Boot("evil");
    const auto answer = Reattest(device_);
    SP_CHECK(RefusalOf(answer) != nullptr);
    return *RefusalOf(answer);
  }
  void Change(const std::function<void(DeviceRecord&)>& change) {
    Must([&](Connection& c) -> Result<Unit> {
      DeviceRecord record = Devices(c).Find(IdOf(device_)).value().value();
      change(record);
      return Devices(c).Update(record);
    });
  }

  FakeTpmDevice device_{vendor_};
};

TEST_F(PostureTest, AFailedBootGetsNoCertificateAndKillsTheOldOnes) {
  const Refusal refusal = BootAndFail();

  const DeviceRecord stored = *Stored(device_);
  EXPECT_EQ(stored.posture, Posture::kFailing);
  EXPECT_EQ(stored.state, DeviceState::kQuarantined);
  EXPECT_EQ(stored.causes, Causes{QuarantineCause::kPosture});
  EXPECT_EQ(stored.epoch, 2u);
  EXPECT_EQ(stored.reason, "pcr.4");
  EXPECT_EQ(Count("SELECT COUNT(*) FROM certificates"), 1);
  EXPECT_EQ(events_.revoked, (std::vector<std::pair<std::string, uint64_t>>{{IdOf(device_), 2}}));
  EXPECT_EQ(RuleOf(refusal), "pcr.4");
}

TEST_F(PostureTest, TheDeviceLearnsTheRuleAndItsOwnEventsButNoReferenceValue) {
  const Refusal refusal = BootAndFail();

  EXPECT_EQ(refusal.rule, "pcr.4");
  ASSERT_FALSE(refusal.events.empty());
  const std::string own = HexEncode(pki::Sha256(AsBytes("evil")));
  const std::string reference = HexEncode(pki::Sha256(AsBytes("uki 1")));
  EXPECT_NE(refusal.events[0].find(own), std::string::npos);
  EXPECT_EQ(refusal.events[0].find(reference), std::string::npos);
  EXPECT_EQ(refusal.detail.find(reference), std::string::npos);
}

TEST_F(PostureTest, TheOperatorFindsTheDifferenceUnderTheReferenceId) {
  const Refusal refusal = BootAndFail();
  auto snapshot = database_->Read();
  const auto verdicts = ListVerdicts(snapshot.value().connection(), IdOf(device_), 10).value();
  ASSERT_EQ(verdicts.size(), 2u);
  const VerdictRow& failed = verdicts[0].passed ? verdicts[1] : verdicts[0];
  EXPECT_EQ(failed.id, refusal.reference_id);
  EXPECT_NE(failed.diff.find(HexEncode(pki::Sha256(AsBytes("uki 1")))), std::string::npos);
  EXPECT_TRUE(blobs_.Get(*failed.log_hash).has_value());
}

TEST_F(PostureTest, FailingAgainRaisesNoFurtherEpoch) {
  BootAndFail();
  BootAndFail();
  EXPECT_EQ(Stored(device_)->epoch, 2u);
}

TEST_F(PostureTest, ALaterPassingBootBringsItBackInANewEpoch) {
  BootAndFail();
  device_.Boot("uki 1");

  const auto answer = Reattest(device_);

  ASSERT_EQ(RuleOf(answer), "admitted");
  EXPECT_EQ(std::get<Admitted>(answer).epoch, 2u);
  EXPECT_EQ(Stored(device_)->state, DeviceState::kActive);
  EXPECT_TRUE(Stored(device_)->causes.empty());
}

TEST_F(PostureTest, TheSameBootDoesNotPassBecauseTheReferencesChanged) {
  BootAndFail();
  ImportReference("evil");
  EXPECT_EQ(RuleOf(Reattest(device_)), "quarantine.same-boot");
  device_.Boot("evil");
  EXPECT_EQ(RuleOf(Reattest(device_)), "admitted");
}

TEST_F(PostureTest, OtherCausesAreNotClearedByAPass) {
  for (const auto& [cause, rule] :
       {std::pair(QuarantineCause::kOperator, "quarantine.operator"),
        std::pair(QuarantineCause::kClone, "quarantine.clone"),
        std::pair(QuarantineCause::kTpmChanged, "quarantine.tpm-changed"),
        std::pair(QuarantineCause::kRestore, "quarantine.restore")}) {
    Change([&](DeviceRecord& record) {
      record.state = DeviceState::kQuarantined;
      record.causes = {QuarantineCause::kPosture, cause};
    });
    device_.Boot("uki 1");
    EXPECT_EQ(RuleOf(Reattest(device_)), rule);
    EXPECT_EQ(Stored(device_)->state, DeviceState::kQuarantined);
  }
}

TEST_F(PostureTest, AQuarantinedDeviceGetsNoRenewal) {
  BootAndFail();
  EXPECT_EQ(RuleOf(flow_->BeginRenewal(IdOf(device_), now_)), "device.not-active");
}

TEST_F(PostureTest, AQuarantineDuringARenewalIsSeen) {
  const IssuedChallenge challenge = Issued(flow_->BeginRenewal(IdOf(device_), now_));
  const ProveInput proof =
      device_.Prove(pki::Purpose::kRenew, challenge, leaf_, {.certify_again = true});
  Change([](DeviceRecord& record) { record.state = DeviceState::kQuarantined; });
  EXPECT_EQ(RuleOf(flow_->Renew(IdOf(device_), channel_, proof, now_)), "device.not-active");
}

TEST_F(PostureTest, ARetiredDeviceStaysOut) {
  Change([](DeviceRecord& record) { record.state = DeviceState::kRetired; });
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, device_.Begin(pki::Purpose::kReattest), now_)),
            "device.retired");
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, device_.Begin(pki::Purpose::kEnrol), now_)),
            "device.retired");
}

TEST_F(PostureTest, ADeviceRetiredAfterItsChallengeStaysOut) {
  const IssuedChallenge challenge = Challenge(device_, pki::Purpose::kReattest);
  const ProveInput proof = device_.Prove(pki::Purpose::kReattest, challenge, leaf_);
  Change([](DeviceRecord& record) { record.state = DeviceState::kRetired; });
  EXPECT_EQ(RuleOf(flow_->Prove(channel_, proof, now_)), "device.retired");
}

TEST_F(PostureTest, ARenewalAfterARebootIsRefused) {
  static_cast<void>(
      device_.Prove(pki::Purpose::kReattest, Challenge(device_, pki::Purpose::kReattest), leaf_));
  device_.Boot("uki 1");
  static_cast<void>(
      device_.Prove(pki::Purpose::kReattest, Challenge(device_, pki::Purpose::kReattest), leaf_));
  EXPECT_EQ(RuleOf(Renew(device_)), "renew.new-boot");
}

TEST_F(PostureTest, ARenewalForAnotherKeyIsRefused) {
  // A second key of the same boot that was never certified to us.
  static_cast<void>(
      device_.Prove(pki::Purpose::kReattest, Challenge(device_, pki::Purpose::kReattest), leaf_));
  EXPECT_EQ(RuleOf(Renew(device_)), "renew.key");
}

TEST_F(PostureTest, EachPurposeHasItsOwnProofOfTheKey) {
  EXPECT_EQ(RuleOf(Reattest(device_, {.certify_again = true})), "key.certification");
  const IssuedChallenge challenge = Issued(flow_->BeginRenewal(IdOf(device_), now_));
  const ProveInput proof = device_.Prove(pki::Purpose::kRenew, challenge, leaf_);
  EXPECT_EQ(RuleOf(flow_->Renew(IdOf(device_), channel_, proof, now_)), "renew.certification");
}

TEST_F(PostureTest, AClockThatStandsStillIsAReplayAndHurtsNothing) {
  device_.StopClock();
  EXPECT_EQ(RuleOf(Renew(device_)), "quote.clock");
  EXPECT_EQ(Stored(device_)->posture, Posture::kPassing);
}

TEST_F(PostureTest, ADeviceThatHasSeenALaterEpochFindsAStoreThatLostHistory) {
  EXPECT_EQ(RuleOf(Reattest(device_, {.epoch_held = 7})), "epoch.ahead");
}

TEST_F(PostureTest, TheAkIsFrozen) {
  const FakeTpmDevice other(vendor_);
  BeginInput begin = device_.Begin(pki::Purpose::kEnrol);
  begin.ak_public = other.Begin(pki::Purpose::kEnrol).ak_public;
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, begin, now_)), "ak.changed");
  begin = other.Begin(pki::Purpose::kEnrol);
  begin.ak_public = device_.Begin(pki::Purpose::kEnrol).ak_public;
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, begin, now_)), "ak.other-device");
}

TEST_F(PostureTest, AnAssignedReleaseIsExpectedAndNamesWhatRuns) {
  const ReleaseDigest release = ReleaseDigest::FromArray(HashOf(5).array());
  ReferenceRow row;
  row.device_class = "online";
  row.json = ReferenceJson("uki 2", row.device_class);
  row.id = pki::Sha256(AsBytes(row.json));
  row.state = ReferenceState::kCandidate;
  row.release = release;
  Must([&](Connection& c) -> Result<Unit> {
    SP_TRY(References(c).Insert(row));
    return References(c).Assign(IdOf(device_), ReferenceRole::kPending, row.id);
  });
  device_.Boot("uki 2");

  EXPECT_EQ(RuleOf(Reattest(device_, {.release = ReleaseDigest::FromArray(HashOf(6).array())})),
            "claim.release");
  EXPECT_EQ(RuleOf(Reattest(device_, {.slot = "B", .release = release})), "admitted");

  EXPECT_EQ(Stored(device_)->running_release, release);
  EXPECT_EQ(Stored(device_)->running_slot, "B");
  EXPECT_EQ(Stored(device_)->reference_set, row.id);
}

TEST_F(PostureTest, AReleaseOfAnotherDeviceIsNotAccepted) {
  ReferenceRow row;
  row.device_class = "online";
  row.json = ReferenceJson("uki 2", row.device_class);
  row.id = pki::Sha256(AsBytes(row.json));
  row.state = ReferenceState::kCandidate;
  row.release = ReleaseDigest::FromArray(HashOf(5).array());
  Must([&](Connection& c) { return References(c).Insert(row); });
  device_.Boot("uki 2");
  EXPECT_EQ(RuleOf(Reattest(device_)), "pcr.4");
}

TEST(IsPostureFailure, IsSecureBootThatIsOffOrHasOtherKeys) {
  constexpr std::array<std::string_view, 5> kPassed{"quote.extra-data", "quote.qualified-signer",
                                                    "quote.selection", "quote.clock", "other"};
  for (const std::string_view rule : {"secure-boot.off", "secure-boot.db", "pcr.7"}) {
    Verdict verdict;
    verdict.ak_verified = true;
    verdict.checks.Add(kPassed);
    for (const std::string_view passed : kPassed) verdict.checks.Pass(passed);
    verdict.checks.Add({&rule, 1});
    verdict.checks.Fail(rule, "");
    EXPECT_TRUE(IsPostureFailure(Case{}, verdict)) << rule;
  }
}

}  // namespace
}  // namespace sallyport::server
