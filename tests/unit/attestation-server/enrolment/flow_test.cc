#include "attestation-server/enrolment/flow.h"

#include "pki/x509/chain_verifier.h"
#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {
namespace {

TEST_F(FlowTest, ADeviceComesInByTokenAndGetsACertificateOfItsTpmKey) {
  FakeTpmDevice device(vendor_);

  const Admitted admitted = MustEnrol(device);

  ASSERT_EQ(admitted.chain.size(), 2u);
  pki::RoleAnchors anchors;
  anchors.device_issuers = {hierarchy_.device_issuer.certificate};
  const auto peer = pki::VerifyPeer(admitted.chain[0], {}, anchors, pki::Role::kDevice,
                                    pki::TrustDomain::Parse("edge.example").value(), now_);
  ASSERT_TRUE(peer.has_value()) << peer.error().ToString();
  EXPECT_EQ(peer->name(), IdOf(device));
  EXPECT_EQ(peer->certificate().spki, device.tls_key().key().public_key().spki());
  EXPECT_EQ(peer->certificate().not_after, kStart + Hours(1));
  EXPECT_EQ(peer->extension()->attested_at, kStart);
  EXPECT_EQ(peer->extension()->tier, pki::Tier::kMeasured);
  EXPECT_EQ(peer->extension()->epoch, 1u);
  EXPECT_EQ(peer->extension()->key_protection, pki::KeyProtection::kTpmNullHierarchy);
}

TEST_F(FlowTest, AdmissionIsRecordedWhole) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);

  const DeviceRecord stored = Stored(device).value();

  EXPECT_EQ(stored.state, DeviceState::kActive);
  EXPECT_EQ(stored.posture, Posture::kPassing);
  EXPECT_EQ(stored.placement.site, "berlin");
  EXPECT_EQ(stored.provenance.kind, ProvenanceKind::kToken);
  EXPECT_EQ(stored.provenance.id, token_.substr(0, 8));
  EXPECT_EQ(stored.provenance.address, "192.0.2.9");
  EXPECT_EQ(stored.tpm.ek_model, "FakeTPM");
  EXPECT_EQ(stored.endpoint, "192.0.2.7:15008");
  EXPECT_EQ(stored.valid_until, kStart + Hours(1));
  EXPECT_TRUE(stored.reference_set.has_value());
  EXPECT_EQ(stored.next_key->tls_name, device.tls_key().name());
  EXPECT_EQ(Count("SELECT COUNT(*) FROM certificates"), 1);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM verdicts WHERE passed = 1"), 1);
  EXPECT_EQ(Audit().back().event, "certificate-issued");
  EXPECT_TRUE(blobs_.Get(pki::Sha256(device.event_log())).has_value());
  const Bytes evidence = blobs_.Get(stored.evidence_hash.value()).value();
  EXPECT_NE(AsText(evidence).find(HexEncode(device.tls_key().area().Marshal())),
            std::string_view::npos);
  EXPECT_EQ(events_.admitted, std::vector<std::string>{IdOf(device)});
}

TEST_F(FlowTest, BeginChangesNoStoredState) {
  const FakeTpmDevice device(vendor_);
  const size_t before = Audit().size();

  Challenge(device, pki::Purpose::kEnrol);

  EXPECT_EQ(Audit().size(), before);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM devices"), 0);
}

TEST_F(FlowTest, AListedEkComesInWithoutAToken) {
  FakeTpmDevice device(vendor_);
  ListedEk listed;
  listed.ek_spki_hash = pki::Sha256(device.ek().public_key().spki());
  listed.device_name = "cam-9";
  listed.profile = "default";
  listed.placement = {"paris", "online", {}};
  Must([&](Connection& c) { return EkList(c).Put(listed); });
  const IssuedChallenge challenge = Challenge(device, pki::Purpose::kEnrol);

  const auto answer =
      flow_->Prove(channel_, device.Prove(pki::Purpose::kEnrol, challenge, leaf_), now_);

  EXPECT_EQ(RuleOf(answer), "admitted");
  EXPECT_EQ(Stored(device)->name, "cam-9");
  EXPECT_EQ(Stored(device)->provenance.kind, ProvenanceKind::kEkList);
  EXPECT_EQ(Count("SELECT SUM(uses) FROM tokens"), 0);
}

TEST_F(FlowTest, ATokenThatNeedsApprovalLeadsToPendingAndToNoCertificate) {
  FakeTpmDevice device(vendor_);
  TokenRecord record;
  record.created_by = "op";  // auto_approve stays false
  token_ = MakeToken(record);

  const Admitted pending = MustEnrol(device);

  EXPECT_TRUE(pending.pending);
  EXPECT_TRUE(pending.chain.empty());
  EXPECT_EQ(Stored(device)->state, DeviceState::kPending);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM certificates"), 0);
  EXPECT_TRUE(events_.admitted.empty());

  const auto again = Reattest(device);
  EXPECT_TRUE(std::get<Admitted>(again).pending);
  Must([&](Connection& c) -> Result<Unit> {
    DeviceRecord approved = Devices(c).Find(IdOf(device)).value().value();
    approved.state = DeviceState::kEnrolled;
    return Devices(c).Update(approved);
  });
  EXPECT_FALSE(std::get<Admitted>(Reattest(device)).pending);
  EXPECT_EQ(Stored(device)->state, DeviceState::kActive);
}

TEST_F(FlowTest, ATestRootCapsTheTier) {
  vendor_profile_ = false;
  Restart();
  FakeTpmDevice device(vendor_);
  EXPECT_EQ(MustEnrol(device).tier, pki::Tier::kAttested);
}

TEST_F(FlowTest, RenewalGivesTheSameKeyANewCertificate) {
  FakeTpmDevice device(vendor_);
  const Admitted first = MustEnrol(device);
  now_ = now_ + Minutes(30);

  const auto answer = Renew(device);

  ASSERT_EQ(RuleOf(answer), "admitted");
  const Admitted& second = std::get<Admitted>(answer);
  EXPECT_EQ(second.not_after, kStart + Minutes(90));
  EXPECT_NE(second.chain[0], first.chain[0]);
  EXPECT_EQ(second.epoch, first.epoch);
}

TEST_F(FlowTest, RenewalNamesTheLogOfItsBootByHash) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  EXPECT_EQ(RuleOf(Renew(device, {.send_log = false})), "admitted");
  Restart();  // the replayed log is gone from memory and comes from the evidence on disk
  EXPECT_EQ(RuleOf(Renew(device, {.send_log = false})), "admitted");
}

TEST_F(FlowTest, AnUnknownLogIsAskedForAndHurtsNothing) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);

  const auto answer = Renew(device, {.send_log = false, .other_log = Bytes{1, 2, 3}});

  EXPECT_EQ(RefusalOf(answer)->rule, "log.unknown");
  EXPECT_EQ(Stored(device)->posture, Posture::kPassing);
}

TEST_F(FlowTest, RenewalTimesAreSpreadAroundHalfOfTheLife) {
  std::set<int64_t> times;
  for (int i = 0; i < 8; ++i) {
    FakeTpmDevice device(vendor_);
    token_ = MakeToken({});
    const Admitted admitted = MustEnrol(device);
    EXPECT_GE(admitted.renew_after, kStart + Minutes(27));
    EXPECT_LE(admitted.renew_after, kStart + Minutes(33));
    times.insert(admitted.renew_after.ms);
  }
  EXPECT_GT(times.size(), 4u);
}

TEST_F(FlowTest, TimeCountsFromTheChallengeNotFromTheArrival) {
  FakeTpmDevice device(vendor_);
  const IssuedChallenge challenge = Challenge(device, pki::Purpose::kEnrol);
  now_ = now_ + Seconds(59);

  const auto answer = flow_->Prove(
      channel_, device.Prove(pki::Purpose::kEnrol, challenge, leaf_, {.token = token_}), now_);

  EXPECT_EQ(std::get<Admitted>(answer).not_after, kStart + Hours(1));
  EXPECT_EQ(Stored(device)->attested_at, kStart);
}

TEST_F(FlowTest, ARebootedDeviceAttestsAnewWithANewKey) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  const BootId first = Stored(device)->boot->id;
  device.Boot("uki 1");

  EXPECT_EQ(RuleOf(Reattest(device)), "admitted");

  EXPECT_NE(Stored(device)->boot->id, first);
  EXPECT_EQ(Stored(device)->boot->reset_count, 2u);
}

TEST_F(FlowTest, ClearingTheTpmRaisesTheGeneration) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  device.Boot("uki 1");
  ASSERT_EQ(RuleOf(Reattest(device)), "admitted");
  device.Clear();

  EXPECT_EQ(RuleOf(Reattest(device)), "admitted");

  EXPECT_EQ(Stored(device)->boot->generation, 1u);
}

TEST_F(FlowTest, TheSameBytesGetTheSameAnswerForAMinute) {
  FakeTpmDevice device(vendor_);
  const IssuedChallenge challenge = Challenge(device, pki::Purpose::kEnrol);
  const ProveInput proof = device.Prove(pki::Purpose::kEnrol, challenge, leaf_, {.token = token_});

  const auto first = flow_->Prove(channel_, proof, now_);
  const auto second = flow_->Prove(channel_, proof, now_ + Seconds(30));

  EXPECT_EQ(std::get<Admitted>(first).chain, std::get<Admitted>(second).chain);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM certificates"), 1);
}

TEST_F(FlowTest, ASpentTicketGetsNothingForOtherBytes) {
  FakeTpmDevice device(vendor_);
  const IssuedChallenge challenge = Challenge(device, pki::Purpose::kEnrol);
  ASSERT_EQ(
      RuleOf(flow_->Prove(
          channel_, device.Prove(pki::Purpose::kEnrol, challenge, leaf_, {.token = token_}), now_)),
      "admitted");

  const auto answer = flow_->Prove(
      channel_, device.Prove(pki::Purpose::kEnrol, challenge, leaf_, {.token = token_}), now_);

  EXPECT_EQ(RuleOf(answer), "ticket.spent");
}

TEST_F(FlowTest, ATicketDiesWithTheServerThatMadeIt) {
  FakeTpmDevice device(vendor_);
  const IssuedChallenge challenge = Challenge(device, pki::Purpose::kEnrol);
  const ProveInput proof = device.Prove(pki::Purpose::kEnrol, challenge, leaf_, {.token = token_});
  Restart();

  EXPECT_EQ(RuleOf(flow_->Prove(channel_, proof, now_)), "ticket.foreign");

  EXPECT_EQ(RuleOf(Enrol(device)), "admitted");
}

TEST_F(FlowTest, RestartBetweenEvidenceAndExpiryNeitherRepeatsNorForgets) {
  FakeTpmDevice device(vendor_);
  const IssuedChallenge challenge = Challenge(device, pki::Purpose::kEnrol);
  const ProveInput proof = device.Prove(pki::Purpose::kEnrol, challenge, leaf_, {.token = token_});
  ASSERT_EQ(RuleOf(flow_->Prove(channel_, proof, now_)), "admitted");
  Open();
  Restart();

  EXPECT_EQ(RuleOf(flow_->Prove(channel_, proof, now_)), "ticket.foreign");

  EXPECT_EQ(Stored(device)->state, DeviceState::kActive);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM certificates"), 1);
  EXPECT_EQ(RuleOf(Reattest(device)), "admitted");
}

TEST_F(FlowTest, TwoConcurrentEnrolmentsOfOneEkMakeOneDeviceAndSpendOneUse) {
  FakeTpmDevice device(vendor_);
  const IssuedChallenge one = Challenge(device, pki::Purpose::kEnrol);
  const IssuedChallenge two = Challenge(device, pki::Purpose::kEnrol);
  const ProveInput first = device.Prove(pki::Purpose::kEnrol, one, leaf_, {.token = token_});
  const ProveInput second = device.Prove(pki::Purpose::kEnrol, two, leaf_, {.token = token_});
  std::vector<std::string> rules(2);
  {
    std::jthread a([&] {
      rules[0] = std::holds_alternative<Admitted>(flow_->Prove(channel_, first, now_)) ? "admitted"
                                                                                       : "refused";
    });
    std::jthread b([&] {
      rules[1] = std::holds_alternative<Admitted>(flow_->Prove(channel_, second, now_)) ? "admitted"
                                                                                        : "refused";
    });
  }

  EXPECT_EQ(Count("SELECT COUNT(*) FROM devices"), 1);
  EXPECT_EQ(Count("SELECT SUM(uses) FROM tokens"), 1);
  // The later quote may lose to the earlier clock, but somebody came in.
  EXPECT_TRUE(rules[0] == "admitted" || rules[1] == "admitted");
}

TEST_F(FlowTest, AVerdictUnderReplacedReferencesIsJudgedAgain) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  // Every commit of the device's proof finds the reference epoch moved once more.
  const IssuedChallenge challenge = Issued(flow_->BeginRenewal(IdOf(device), now_));
  const ProveInput proof =
      device.Prove(pki::Purpose::kRenew, challenge, leaf_, {.certify_again = true});
  std::atomic<bool> stop = false;
  std::jthread churn([&] {
    while (!stop)
      (void)Write([](Transaction& t) -> Result<Unit> {
        SP_TRY(RaiseCounter(t.connection(), Counter::kReferenceEpoch));
        return Unit{};
      });
  });

  const auto answer = flow_->Renew(IdOf(device), channel_, proof, now_);
  stop = true;
  churn.join();

  // Either it was judged again in time, or it was refused as ours to retry: never a stale
  // admission.
  if (const Refusal* const refusal = RefusalOf(answer)) {
    EXPECT_TRUE(refusal->unavailable);
  } else {
    EXPECT_EQ(Count("SELECT COUNT(*) FROM certificates"), 2);
  }
}

TEST_F(FlowTest, AFullDatabaseIsARefusalOfOursAndNothingIsHalfWritten) {
  TokenRecord many;
  many.uses_max = 50;
  token_ = MakeToken(many);
  Must([](Connection& c) -> Result<Unit> {
    SP_TRY(c.QueryOne("PRAGMA max_page_count=1", "i"));  // raised by SQLite to the pages in use
    return Unit{};
  });
  int admitted = 0;
  Answer<Admitted> answer;
  for (; admitted < 50; ++admitted) {  // the pages in use have room for a few
    FakeTpmDevice device(vendor_);
    answer = Enrol(device);
    if (RefusalOf(answer) != nullptr) break;
  }

  ASSERT_NE(RefusalOf(answer), nullptr);
  EXPECT_TRUE(RefusalOf(answer)->unavailable);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM devices"), admitted);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM certificates"), admitted);
  EXPECT_EQ(Count("SELECT COUNT(*) FROM spent_tickets"), admitted);
  EXPECT_EQ(Count("SELECT SUM(uses) FROM tokens"), admitted);
}

TEST_F(FlowTest, EvidenceThatCannotBeKeptAdmitsNobody) {
  FakeTpmDevice device(vendor_);
  files_.LimitBytes(0);

  const auto answer = Enrol(device);

  EXPECT_EQ(RuleOf(answer), "evidence.store");
  EXPECT_TRUE(RefusalOf(answer)->unavailable);
  EXPECT_FALSE(Stored(device).has_value());
}

TEST_F(FlowTest, AuditChainVerifiesOverAllOfIt) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  static_cast<void>(Renew(device));
  device.Boot("evil");
  static_cast<void>(Reattest(device));
  static_cast<void>(Audit());
  auto snapshot = database_->Read();
  EXPECT_GE(VerifyAudit(snapshot.value().connection()).value().seq, 3u);
}

}  // namespace
}  // namespace sallyport::server
