// Kinds of TPM end to end: banks, attestation keys, firmware, clocks, resets.
#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {
namespace {

class TpmFlowTest : public FlowTest {
 protected:
  // EnrolRenewAndReboot runs a device through all purposes and returns the first rule that refused.
  std::string EnrolRenewAndReboot(FakeTpmDevice& device) {
    if (const std::string rule = RuleOf(Enrol(device)); rule != "admitted") return rule;
    now_ = now_ + Seconds(1);
    if (const std::string rule = RuleOf(Renew(device)); rule != "admitted") return rule;
    device.Boot("uki 1");
    return RuleOf(Reattest(device));
  }
  // DetailOf is what the newest refusal said to operators.
  std::string RefusalDetail(const Answer<Admitted>& answer) {
    const auto* const refusal = std::get_if<Refusal>(&answer);
    return refusal == nullptr ? "" : refusal->detail;
  }
};

TEST_F(TpmFlowTest, ADeviceOfTheSha384BankEnrolsRenewsAndReboots) {
  tpm_.bank = pki::HashAlgorithm::kSha384;
  Restart();
  ImportReference("uki 1", pki::HashAlgorithm::kSha384);
  FakeTpmDevice device(vendor_, {.banks = {Bank::kSha384}});

  EXPECT_EQ(EnrolRenewAndReboot(device), "admitted");
  EXPECT_EQ(Stored(device)->tier, pki::Tier::kMeasured);
}

TEST_F(TpmFlowTest, AChallengeForTheBankOfOneProfileAdmitsNobodyUnderAnother) {
  FlowConfig config{.trust_domain = pki::TrustDomain::Parse("edge.example").value(),
                    .development = true,
                    .incarnation = 1,
                    .classes = {{"online", {Hours(1), false, false}}},
                    .profiles = {},
                    .pcrs = {0, 4, 7},
                    .limits = limits_};
  TpmTerms other = tpm_;
  other.bank = pki::HashAlgorithm::kSha384;
  config.profiles.emplace("default", Profile{RootsOf(vendor_), vendor_profile_, {}, {}, tpm_});
  config.profiles.emplace("second", Profile{RootsOf(vendor_), vendor_profile_, {}, {}, other});
  flow_ = std::make_unique<EnrolmentFlow>(std::move(config),
                                          FlowParts{*database_, blobs_, random_, events_}, signer_);
  TokenRecord token;
  token.profile = "second";
  token_ = MakeToken(token);
  FakeTpmDevice device(vendor_, {.banks = {Bank::kSha256, Bank::kSha384}});

  EXPECT_EQ(RuleOf(Enrol(device)), "admission.bank");
}

TEST_F(TpmFlowTest, ReferencesOfAnotherBankDoNotCount) {
  tpm_.bank = pki::HashAlgorithm::kSha384;
  Restart();
  FakeTpmDevice device(vendor_, {.banks = {Bank::kSha384}});

  EXPECT_EQ(RuleOf(Enrol(device)), "reference.available");
}

TEST_F(TpmFlowTest, ADeviceWhoseReleaseIsMeasuredInAnotherBankIsNotJudgedByItsPlatformAlone) {
  FakeTpmDevice device(vendor_, {.banks = {Bank::kSha256, Bank::kSha384}});
  MustEnrol(device);
  ReferenceRow release;
  release.device_class = "online";
  release.json = ReferenceJson("uki 2", "online");
  release.id = pki::Sha256(AsBytes(release.json));
  release.state = ReferenceState::kActive;
  release.release = ReleaseDigest::FromArray({});
  Must([&](Connection& c) -> Result<Unit> {
    SP_TRY(References(c).Insert(release));
    return References(c).Assign(IdOf(device), ReferenceRole::kCommitted, release.id);
  });
  ImportReference("uki 1", pki::HashAlgorithm::kSha384);
  tpm_.bank = pki::HashAlgorithm::kSha384;
  Restart();
  device.Boot("uki 1");

  EXPECT_EQ(RuleOf(Reattest(device)), "reference.available");
}

TEST_F(TpmFlowTest, AQuoteOfAnotherBankThanTheProfilesIsRefused) {
  FakeTpmDevice device(vendor_, {.banks = {Bank::kSha256, Bank::kSha384}});
  IssuedChallenge challenge = Challenge(device, pki::Purpose::kEnrol);
  challenge.pcr_requests.front().bank = "sha384";
  ProofOptions options;
  options.token = token_;

  EXPECT_EQ(RuleOf(flow_->Prove(
                channel_, device.Prove(pki::Purpose::kEnrol, challenge, leaf_, options), now_)),
            "quote.selection");
}

TEST_F(TpmFlowTest, EveryKindOfAttestationKeyEnrolsRenewsAndReboots) {
  const SoftKeyKind kinds[] = {
      {pki::KeyType::kRsa, pki::SignatureScheme::kRsaPkcs1, pki::HashAlgorithm::kSha256, 2048},
      {pki::KeyType::kRsa, pki::SignatureScheme::kRsaPss, pki::HashAlgorithm::kSha384, 3072},
      {pki::KeyType::kP384, pki::SignatureScheme::kEcdsa, pki::HashAlgorithm::kSha384},
      {pki::KeyType::kP256, pki::SignatureScheme::kEcdsa, pki::HashAlgorithm::kSha384}};
  for (const SoftKeyKind& kind : kinds) {
    token_ = MakeToken({});
    FakeTpmDevice device(vendor_, {.ak = kind});
    EXPECT_EQ(EnrolRenewAndReboot(device), "admitted");
  }
}

// ---- Bank audit

TEST_F(TpmFlowTest, ALiveLegacyBankThatFirmwareExtendsIsNoHarm) {
  FakeTpmDevice device(vendor_, {.banks = {Bank::kSha1, Bank::kSha256, Bank::kSha512}});
  EXPECT_EQ(EnrolRenewAndReboot(device), "admitted");
}

TEST_F(TpmFlowTest, ALiveBankThatTheLogDoesNotCarryIsRefusedByName) {
  FakeTpmDevice device(vendor_, {.forgotten_banks = {Bank::kSha1}});
  const auto answer = Enrol(device);
  EXPECT_EQ(RuleOf(answer), "bank.log");
  EXPECT_NE(RefusalDetail(answer).find("bank sha1 is live"), std::string::npos);
}

TEST_F(TpmFlowTest, ALiveBankThatWasNeverExtendedIsRefusedByName) {
  FakeTpmDevice device(vendor_, {.forgotten_banks = {Bank::kSha384}});
  const auto answer =
      Enrol(device, {.other_log = BootLog("uki 1", {Bank::kSha256, Bank::kSha384}).bytes()});
  EXPECT_EQ(RuleOf(answer), "bank.replay");
  EXPECT_NE(RefusalDetail(answer).find("bank sha384 is live and was never extended"),
            std::string::npos);
}

TEST_F(TpmFlowTest, ANewBootWithoutItsAuditIsRefused) {
  FakeTpmDevice device(vendor_);
  EXPECT_EQ(RuleOf(Enrol(device, {.audit_banks = false})), "bank.present");
  MustEnrol(device);
  device.Boot("uki 1");
  EXPECT_EQ(RuleOf(Reattest(device, {.audit_banks = false})), "bank.present");
}

TEST_F(TpmFlowTest, ABankThatGoesLiveLaterQuarantinesTheDevice) {
  const FakeTpmSpec spec{.forgotten_banks = {}};
  FakeTpmDevice device(vendor_, spec);
  MustEnrol(device);
  device.Boot("uki 1");
  device.ForgetBank(Bank::kSha1);

  EXPECT_EQ(RuleOf(Reattest(device)), "bank.log");
  EXPECT_EQ(Stored(device)->state, DeviceState::kQuarantined);
  EXPECT_EQ(Stored(device)->reason, "bank.log");
}

TEST_F(TpmFlowTest, AResetBetweenTheTwoQuotesIsRefused) {
  FakeTpmDevice device(vendor_);
  EXPECT_EQ(RuleOf(Enrol(device, {.reset_before_audit = true})), "bank.boot");
}

TEST_F(TpmFlowTest, ARenewalIsAskedForNoAuditAndTakesNone) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  now_ = now_ + Seconds(1);
  const IssuedChallenge challenge = Issued(flow_->BeginRenewal(IdOf(device), now_));
  EXPECT_FALSE(challenge.bank_audit.has_value());
  ProofOptions options;
  options.certify_again = true;
  ProveInput input = device.Prove(pki::Purpose::kRenew, challenge, leaf_, options);
  input.evidence.quotes.push_back(input.evidence.quotes.front());

  EXPECT_EQ(RuleOf(flow_->Renew(IdOf(device), channel_, input, now_)), "evidence.quotes");
}

TEST_F(TpmFlowTest, MoreQuotesThanWereAskedForAreRefusedBeforeTheyAreRead) {
  FakeTpmDevice device(vendor_);
  const IssuedChallenge challenge = Challenge(device, pki::Purpose::kEnrol);
  ProveInput input = device.Prove(pki::Purpose::kEnrol, challenge, leaf_, {});
  input.evidence.quotes.push_back(input.evidence.quotes.front());

  EXPECT_EQ(RuleOf(flow_->Prove(channel_, input, now_)), "evidence.quotes");
}

TEST_F(TpmFlowTest, BothQuotesAreKept) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  const Bytes document = blobs_.Get(*Stored(device)->evidence_hash).value();
  const JsonValue json = ParseJson(AsText(document)).value();
  EXPECT_EQ(JsonCursor(json).GetElements("quotes")->size(), 2u);
}

// ---- Firmware, kind, clock

TEST_F(TpmFlowTest, FirmwareBelowTheFloorOfItsProfileIsRefused) {
  tpm_.firmware_floor = 8;
  Restart();
  FakeTpmDevice old(vendor_, {.firmware = 7});
  EXPECT_EQ(RuleOf(Enrol(old)), "quote.firmware");
  FakeTpmDevice current(vendor_, {.firmware = 8});
  EXPECT_EQ(RuleOf(Enrol(current)), "admitted");
}

TEST_F(TpmFlowTest, RaisingTheFloorFailsTheNextProof) {
  FakeTpmDevice device(vendor_, {.firmware = 7});
  MustEnrol(device);
  tpm_.firmware_floor = 8;
  Restart();
  now_ = now_ + Seconds(1);

  EXPECT_EQ(RuleOf(Renew(device)), "quote.firmware");
  EXPECT_EQ(Stored(device)->posture, Posture::kFailing);
}

TEST_F(TpmFlowTest, TheKindOfATpmIsUnknownUnlessVendorOrProfileTells) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  EXPECT_EQ(Stored(device)->tpm.kind, TpmKind::kUnknown);
  EXPECT_EQ(Stored(device)->tpm.profile, "default");
  tpm_.kind = TpmKind::kDiscrete;
  Restart();
  token_ = MakeToken({});
  FakeTpmDevice other(vendor_);
  MustEnrol(other);
  EXPECT_EQ(Stored(other)->tpm.kind, TpmKind::kDiscrete);
}

TEST_F(TpmFlowTest, ADeviceOfAProfileThatIsGoneIsRefused) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  Must([&](Connection& c) { return c.RunScript("UPDATE devices SET profile = 'gone'"); });

  EXPECT_EQ(RuleOf(flow_->BeginRenewal(IdOf(device), now_)), "profile.unknown");
  EXPECT_EQ(RuleOf(flow_->Begin(channel_, device.Begin(pki::Purpose::kReattest), now_)),
            "profile.unknown");
}

TEST_F(TpmFlowTest, APowerCutIsToleratedAndASecondOneHasToWait) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  device.Boot("uki 1");
  device.LoseClock(500);
  EXPECT_EQ(RuleOf(Reattest(device)), "admitted");
  device.Boot("uki 1");
  device.LoseClock(500);
  EXPECT_EQ(RuleOf(Reattest(device)), "quote.clock");
  EXPECT_EQ(Stored(device)->posture, Posture::kPassing);
}

// ---- Null name

TEST_F(TpmFlowTest, ANullNameThatIsNotOfferedIsOnRecord) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  EXPECT_EQ(Stored(device)->null_name, NullNameState::kNotOffered);
  device.Boot("uki 1");
  ASSERT_EQ(RuleOf(Reattest(device, {.null_name = true})), "admitted");
  EXPECT_EQ(Stored(device)->null_name, NullNameState::kCertified);
}

TEST_F(TpmFlowTest, AProfileMayInsistOnTheNullName) {
  tpm_.require_null_name = true;
  Restart();
  FakeTpmDevice device(vendor_);
  EXPECT_EQ(RuleOf(Enrol(device)), "null-name.offered");
  EXPECT_EQ(RuleOf(Enrol(device, {.null_name = true})), "admitted");
}

TEST_F(TpmFlowTest, AResetAfterTheKernelStartedIsRefusedAndFailsTheDevice) {
  FakeTpmDevice device(vendor_);
  MustEnrol(device);
  device.Boot("uki 1");
  EXPECT_EQ(RuleOf(Reattest(device, {.other_null_name = true})), "null-name.kernel");
  EXPECT_EQ(Stored(device)->posture, Posture::kFailing);
}

}  // namespace
}  // namespace sallyport::server
