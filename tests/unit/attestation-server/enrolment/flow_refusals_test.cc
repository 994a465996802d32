// What is refused, by which rule, and what the caller learns of it.
#include "attestation-server/enrolment/ticket.h"
#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {
namespace {

class RefusalTest : public FlowTest {
 protected:
  // ProveWith lets `change` spoil a good proof of an enrolment.
  template <typename Change>
  Answer<Admitted> ProveWith(FakeTpmDevice& device, Change change) {
    const IssuedChallenge challenge = Challenge(device, pki::Purpose::kEnrol);
    ProveInput proof = device.Prove(pki::Purpose::kEnrol, challenge, leaf_, {.token = token_});
    change(proof);
    return flow_->Prove(channel_, proof, now_);
  }
  // A stranger learns a reference id and nothing else.
  static void ExpectUniform(const Answer<Admitted>& answer) {
    const Refusal* const refusal = RefusalOf(answer);
    ASSERT_NE(refusal, nullptr);
    EXPECT_EQ(refusal->reference_id.size(), 32u);
    EXPECT_EQ(refusal->rule, "");
    EXPECT_EQ(refusal->detail, "");
    EXPECT_TRUE(refusal->events.empty());
  }
};

TEST_F(RefusalTest, TicketOlderThanSixtySeconds) {
  FakeTpmDevice device(vendor_);
  const IssuedChallenge challenge = Challenge(device, pki::Purpose::kEnrol);
  const ProveInput proof = device.Prove(pki::Purpose::kEnrol, challenge, leaf_, {.token = token_});

  const auto answer = flow_->Prove(channel_, proof, now_ + Seconds(60) + Milliseconds(1));

  EXPECT_EQ(RuleOf(answer), "ticket.expired");
  ExpectUniform(answer);
}

TEST_F(RefusalTest, ForgedTicket) {
  FakeTpmDevice device(vendor_);
  const auto answer = ProveWith(device, [](ProveInput& proof) { proof.ticket[30] ^= 1; });
  EXPECT_EQ(RuleOf(answer), "ticket.foreign");
  ExpectUniform(answer);
}

TEST_F(RefusalTest, TicketOfAnotherPurpose) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  const IssuedChallenge renewal = Issued(flow_->BeginRenewal(IdOf(device), now_));
  const ProveInput proof =
      device.Prove(pki::Purpose::kRenew, renewal, leaf_, {.certify_again = true});
  EXPECT_EQ(RuleOf(flow_->Prove(channel_, proof, now_)), "ticket.purpose");
}

TEST_F(RefusalTest, TicketOfAnotherDevice) {
  FakeTpmDevice device(vendor_);
  FakeTpmDevice other(vendor_);
  MustEnrol(device);
  token_ = MakeToken({});
  MustEnrol(other);
  const IssuedChallenge challenge = Issued(flow_->BeginRenewal(IdOf(device), now_));
  const ProveInput proof =
      other.Prove(pki::Purpose::kRenew, challenge, leaf_, {.certify_again = true});

  EXPECT_EQ(RuleOf(flow_->Renew(IdOf(other), channel_, proof, now_)), "ticket.other-device");
  EXPECT_EQ(RuleOf(flow_->Renew(IdOf(device), channel_, proof, now_)), "quote.signature");
}

TEST_F(RefusalTest, WrongNonce) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  const auto answer = Reattest(device, {.nonce = Nonce::FromArray({1})});
  EXPECT_EQ(RuleOf(answer), "quote.extra-data");
  ExpectUniform(answer);
  EXPECT_EQ(Stored(device)->posture, Posture::kPassing);
}

TEST_F(RefusalTest, ProofMadeForAnotherServersChannel) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  leaf_ = HashOf(0x66);
  EXPECT_EQ(RuleOf(Reattest(device)), "quote.extra-data");
}

TEST_F(RefusalTest, AProofOverTheLastLeafStillCountsDuringAReload) {
  FakeTpmDevice device(vendor_);
  channel_.server_leaf_hashes = {HashOf(0x99), leaf_};
  EXPECT_EQ(RuleOf(Enrol(device)), "admitted");
}

TEST_F(RefusalTest, UnrestrictedAk) {
  const FakeTpmDevice device(vendor_, {.ak_attributes = kAkAttributes & ~pki::tpm::kRestricted});
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, device.Begin(pki::Purpose::kEnrol), now_)),
            "ak.restricted");
}

TEST_F(RefusalTest, EveryOtherWrongAttributeOfAnAk) {
  for (const uint32_t missing :
       {pki::tpm::kFixedTpm, pki::tpm::kFixedParent, pki::tpm::kSensitiveDataOrigin,
        pki::tpm::kUserWithAuth, pki::tpm::kSign}) {
    const FakeTpmDevice device(vendor_, {.ak_attributes = kAkAttributes & ~missing});
    EXPECT_EQ(RuleOf(flow_->Begin(channel_, device.Begin(pki::Purpose::kEnrol), now_)).substr(0, 3),
              "ak.");
  }
  const FakeTpmDevice decrypting(vendor_, {.ak_attributes = kAkAttributes | pki::tpm::kDecrypt});
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, decrypting.Begin(pki::Purpose::kEnrol), now_)),
            "ak.decrypt");
}

TEST_F(RefusalTest, EkOfAVendorWhoseRootsWereReplaced) {
  const FakeTpmVendor other;
  const FakeTpmDevice device(vendor_), newcomer(other);
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, newcomer.Begin(pki::Purpose::kEnrol), now_)), "ek.chain");
  flow_->ReplaceRoots("default", RootsOf(other));
  flow_->ReplaceRoots("unknown", RootsOf(vendor_));
  Challenge(newcomer, pki::Purpose::kEnrol);
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, device.Begin(pki::Purpose::kEnrol), now_)), "ek.chain");
}

TEST_F(RefusalTest, EkOfAnotherTpm) {
  const FakeTpmDevice device(vendor_);
  const FakeTpmDevice other(vendor_);
  BeginInput begin = device.Begin(pki::Purpose::kEnrol);
  begin.ek_public = other.Begin(pki::Purpose::kEnrol).ek_public;
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, begin, now_)), "ek.key-match");
}

TEST_F(RefusalTest, EkOfAnUnknownVendor) {
  const FakeTpmVendor unknown;
  const FakeTpmDevice device(unknown);
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, device.Begin(pki::Purpose::kEnrol), now_)), "ek.chain");
}

TEST_F(RefusalTest, CredentialThatAnotherTpmShouldHaveOpened) {
  FakeTpmDevice device(vendor_);
  const auto none =
      ProveWith(device, [](ProveInput& proof) { proof.evidence.activation_proof.reset(); });
  EXPECT_EQ(RuleOf(none), "activation.proof");
  const auto wrong =
      ProveWith(device, [](ProveInput& proof) { proof.evidence.activation_proof = HashOf(1); });
  EXPECT_EQ(RuleOf(wrong), "activation.proof");
  ExpectUniform(wrong);
}

TEST_F(RefusalTest, TlsKeyNotProven) {
  FakeTpmDevice device(vendor_);
  const auto answer =
      ProveWith(device, [](ProveInput& proof) { proof.evidence.key_signature.back() ^= 1; });
  EXPECT_EQ(RuleOf(answer), "key.signature");
  EXPECT_FALSE(Stored(device).has_value());
}

TEST_F(RefusalTest, TlsKeyThatIsRestrictedOrCanLeaveTheTpm) {
  FakeTpmDevice device(vendor_);
  EXPECT_EQ(RuleOf(Enrol(device, {.tls_attributes = kTlsAttributes | pki::tpm::kRestricted})),
            "tls.restricted");
  EXPECT_EQ(RuleOf(Enrol(device, {.tls_attributes = kTlsAttributes & ~pki::tpm::kFixedTpm})),
            "tls.fixed-tpm");
}

TEST_F(RefusalTest, TlsKeyThatOutlivesItsBootInAClassThatForbidsIt) {
  FakeTpmDevice device(vendor_);
  EXPECT_EQ(RuleOf(Enrol(device, {.key_in_null_hierarchy = false})), "key.outlives-boot");
}

TEST_F(RefusalTest, CsrOfAnotherKeyOrWithABrokenSignature) {
  FakeTpmDevice device(vendor_);
  const auto broken = ProveWith(device, [](ProveInput& proof) { proof.evidence.csr.back() ^= 1; });
  EXPECT_EQ(RuleOf(broken), "activation.proof");  // T covers the request
  FakeTpmDevice known(vendor_);
  MustEnrol(known);
  const IssuedChallenge challenge = Challenge(known, pki::Purpose::kReattest);
  ProveInput proof = known.Prove(pki::Purpose::kReattest, challenge, leaf_);
  proof.evidence.csr.back() ^= 1;
  EXPECT_EQ(RuleOf(flow_->Prove(channel_, proof, now_)), "csr.signature");
}

TEST_F(RefusalTest, LogThatDoesNotReplay) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);

  const auto answer = Reattest(device, {.other_log = BootLog("another image").bytes()});

  EXPECT_EQ(RuleOf(answer), "quote.digest");
  EXPECT_EQ(RefusalOf(answer)->rule, "quote.digest");
  EXPECT_EQ(Stored(device)->state, DeviceState::kQuarantined);
}

TEST_F(RefusalTest, MissingLog) {
  FakeTpmDevice device(vendor_);
  const auto answer = Enrol(device, {.mention_log = false});
  EXPECT_EQ(RuleOf(answer), "log.present");
  EXPECT_FALSE(Stored(device).has_value());
}

TEST_F(RefusalTest, TruncatedLog) {
  FakeTpmDevice device(vendor_);
  Bytes cut = device.event_log();
  cut.pop_back();
  EXPECT_EQ(RuleOf(Enrol(device, {.other_log = cut})), "log.structure");
}

TEST_F(RefusalTest, LogUnderAnotherHashThanItsOwn) {
  FakeTpmDevice device(vendor_);
  const auto answer =
      ProveWith(device, [](ProveInput& proof) { proof.evidence.event_log_hash = HashOf(1); });
  EXPECT_EQ(RuleOf(answer), "evidence.log-hash");
}

TEST_F(RefusalTest, TokensThatDoNotOpenTheDoor) {
  FakeTpmDevice device(vendor_);
  const auto with = [&](const std::string& token) {
    return RuleOf(Enrol(device, {.token = token}));
  };
  TokenRecord spent;
  spent.uses = spent.uses_max = 1;
  EXPECT_EQ(with(MakeToken(spent)), "token.spent");
  TokenRecord ended;
  ended.expires_at = kStart;
  EXPECT_EQ(with(MakeToken(ended)), "token.expired");
  TokenRecord revoked;
  revoked.revoked = true;
  EXPECT_EQ(with(MakeToken(revoked)), "token.revoked");
  TokenRecord other;
  other.ek_spki_hash = HashOf(1);
  EXPECT_EQ(with(MakeToken(other)), "token.other-ek");
  TokenRecord profile;
  profile.profile = "elsewhere";
  EXPECT_EQ(with(MakeToken(profile)), "admission.profile");
  FakeRandom fresh(9);
  EXPECT_EQ(with(NewToken(fresh)), "token.unknown");
  EXPECT_EQ(with("short"), "token.malformed");
  EXPECT_EQ(Count("SELECT COUNT(*) FROM devices"), 0);
}

TEST_F(RefusalTest, UnlistedEkWithoutAToken) {
  FakeTpmDevice device(vendor_);
  const auto answer = ProveWith(device, [](ProveInput& proof) { proof.evidence.token.clear(); });
  EXPECT_EQ(RuleOf(answer), "admission.unlisted");
}

TEST_F(RefusalTest, ATokenOfOneUseLetsOneDeviceIn) {
  FakeTpmDevice first(vendor_);
  FakeTpmDevice second(vendor_);
  MustEnrol(first);
  EXPECT_EQ(RuleOf(Enrol(second)), "token.spent");
}

TEST_F(RefusalTest, NameThatIsTaken) {
  TokenRecord named;
  named.device_name = "cam-1";
  named.uses_max = 2;
  token_ = MakeToken(named);
  FakeTpmDevice first(vendor_);
  FakeTpmDevice second(vendor_);
  MustEnrol(first);
  EXPECT_EQ(RuleOf(Enrol(second)), "admission.name-taken");
}

TEST_F(RefusalTest, OversizeIsRefusedBeforeAnythingIsRead) {
  FakeTpmDevice device(vendor_);
  const auto with = [&](auto change) { return RuleOf(ProveWith(device, change)); };
  EXPECT_EQ(with([](ProveInput& p) { p.ticket.resize(kTicketBytesMax + 1); }), "evidence.size");
  EXPECT_EQ(with([](ProveInput& p) { p.evidence.event_log.resize(kLogBytesMax + 1); }),
            "evidence.size");
  EXPECT_EQ(with([](ProveInput& p) { p.evidence.csr.resize(5000); }), "evidence.size");
  EXPECT_EQ(with([](ProveInput& p) { p.evidence.key_attest.resize(2000); }), "evidence.size");
  EXPECT_EQ(with([](ProveInput& p) { p.evidence.quotes.push_back(p.evidence.quotes[0]); }),
            "evidence.quotes");
  EXPECT_EQ(with([](ProveInput& p) { p.evidence.quotes.clear(); }), "evidence.quotes");
  EXPECT_EQ(with([](ProveInput& p) { p.evidence.advertise = "a b"; }), "evidence.advertise");
  EXPECT_EQ(with([](ProveInput& p) { p.evidence.protocol_version = 2; }), "protocol.version");
  EXPECT_EQ(with([](ProveInput& p) { p.evidence.boot_slot = "C"; }), "evidence.slot");
  EXPECT_EQ(with([](ProveInput& p) { p.evidence.quotes[0].pcr_values[99] = Bytes(32); }),
            "evidence.pcr-values");
  BeginInput begin = device.Begin(pki::Purpose::kEnrol);
  begin.ek_certificates[0].resize(pki::kEkCertificateBytesMax + 1);
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, begin, now_)), "ek.size");
  begin = device.Begin(pki::Purpose::kEnrol);
  begin.ek_public.resize(pki::kPublicAreaBytesMax + 1);
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, begin, now_)), "ek.public-size");
  begin = device.Begin(pki::Purpose::kEnrol);
  begin.ak_public.resize(pki::kPublicAreaBytesMax + 1);
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, begin, now_)), "ak.public-size");
  begin = device.Begin(pki::Purpose::kEnrol);
  begin.protocol_version = 0;
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, begin, now_)), "protocol.version");
}

TEST_F(RefusalTest, TooManyAttemptsAreToldWhenToComeBack) {
  limits_.per_ek = {1, 2};
  Restart();
  const FakeTpmDevice device(vendor_);
  Challenge(device, pki::Purpose::kEnrol);
  Challenge(device, pki::Purpose::kEnrol);

  const auto answer = flow_->Begin(channel_, device.Begin(pki::Purpose::kEnrol), now_);

  EXPECT_EQ(std::get<Refusal>(answer).retry_after, Seconds(1));
}

TEST_F(RefusalTest, ASourceThatFloodsIsSlowedAndWritesNoAudit) {
  limits_.per_source = {1, 1};
  Restart();
  const FakeTpmDevice device(vendor_);
  Challenge(device, pki::Purpose::kEnrol);
  const size_t before = Audit().size();
  for (int i = 0; i < 10; ++i)
    EXPECT_GT(std::get<Refusal>(flow_->Begin(channel_, device.Begin(pki::Purpose::kEnrol), now_))
                  .retry_after.ms,
              0);
  EXPECT_EQ(Audit().size(), before);
}

TEST_F(RefusalTest, AuditEntriesOfStrangersAreBounded) {
  limits_.refusal_audit = {0.001, 3};
  Restart();
  const size_t before = Audit().size();
  for (int i = 0; i < 10; ++i) static_cast<void>(flow_->Prove(channel_, ProveInput{}, now_));
  EXPECT_EQ(Audit().size(), before + 3);
}

TEST_F(RefusalTest, ReattestationOfADeviceNobodyKnows) {
  const FakeTpmDevice device(vendor_);
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, device.Begin(pki::Purpose::kReattest), now_)),
            "device.unknown");
  EXPECT_EQ(RuleOf(flow_->BeginRenewal(IdOf(device), now_)), "device.unknown");
}

TEST_F(RefusalTest, AClassThatIsNotConfigured) {
  FakeTpmDevice device(vendor_);
  TokenRecord record;
  record.placement = {"berlin", "kitchen", {}};
  token_ = MakeToken(record);
  EXPECT_EQ(RuleOf(Enrol(device)), "class.unknown");
}

TEST_F(RefusalTest, AClassWithoutReferencesAdmitsNobody) {
  FakeTpmDevice device(vendor_);
  TokenRecord record;
  record.placement = {"berlin", "edge", {}};
  token_ = MakeToken(record);
  EXPECT_EQ(RuleOf(Enrol(device)), "reference.available");
}

}  // namespace
}  // namespace sallyport::server
