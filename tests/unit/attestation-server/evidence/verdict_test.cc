#include "attestation-server/evidence/verdict.h"

#include <gtest/gtest.h>

#include "tests/fakes/event_log_builder.h"
#include "tests/fakes/soft_tpm_key.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

constexpr auto kSha256 = pki::HashAlgorithm::kSha256;
constexpr std::string_view kCalling = "Calling EFI Application from Boot Option";
constexpr std::string_view kReturning = "Returning from EFI Application from Boot Option";

PcrDigest DigestOf(std::string_view text) { return HashWith(Bank::kSha256, AsBytes(text)); }

EventLogBuilder BootOf(std::string_view image) {
  EventLogBuilder log;
  log.Hashed(0, EventType::kScrtmVersion, AsBytes("firmware 1")).SecureBootVariables().Separator(7);
  return log.Action(4, kCalling).Separators().Authority().Application(image);
}

// ReferenceOf expects PCR 4 and 7 by events and PCR 0 by value, as `log` has them.
Expectation ReferenceOf(const EventLogBuilder& builder, std::string label) {
  const ReplayedLog log = ReplayedLog::Make(builder.bytes(), kSha256).value();
  Expectation out{.label = std::move(label)};
  for (const uint32_t pcr : {4u, 7u}) {
    PcrEventsExpected events;
    for (const Event* const event : log.grammar(pcr).judged)
      events.push_back({event->type, PcrDigest::Of(event->digest(Bank::kSha256)), out.label});
    out.pcrs.emplace(pcr, std::move(events));
  }
  out.pcrs.emplace(0, log.pcrs().value(0));
  return out;
}

// The fixture is a device that booted "uki 1", judged under references for exactly that.
class JudgeTest : public testing::Test {
 protected:
  JudgeTest() {
    context_.quote.bank = kSha256;
    context_.quote.pcr_mask = 1u << 0 | 1u << 4 | 1u << 7 | 1u << 14;
    context_.quote.extra_data = nonce_;
    context_.challenge_made_at = UnixTime::FromSeconds(1000);
    context_.evidence_lifetime = Hours(1);
    context_.reference_version = "edge 3";
    Allow(ReferenceRole::kCommitted, ReferenceOf(BootOf("uki 1"), "uki 1"));
  }

  void Allow(ReferenceRole role, Expectation expectation) {
    candidates_.push_back({role, std::move(expectation)});
  }

  Bytes DigestOfQuoted(const ReplayedBank& pcrs) const {
    pki::Hasher hasher(kSha256);
    for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
      if ((context_.quote.pcr_mask >> pcr & 1) != 0) hasher.Update(pcrs.value(pcr).view());
    return hasher.Finish();
  }

  // Quotes what the TPM of a device that booted `truth` holds, sends `sent` as the log.
  Verdict JudgeBoot(const EventLogBuilder& truth, const Bytes& sent) {
    const ReplayedLog real = ReplayedLog::Make(truth.bytes(), kSha256).value();
    AttestFields fields;
    fields.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
    fields.extra_data = nonce_;
    fields.body = QuoteBodyBytes({{pki::tpm::kAlgSha256, context_.quote.pcr_mask}},
                                 DigestOfQuoted(real.pcrs()));
    attest_ = fields.Write();
    signature_ = ak_.Sign(attest_);
    if (send_values_) {
      values_.clear();
      for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
        if ((context_.quote.pcr_mask >> pcr & 1) != 0)
          values_.push_back({pcr, real.pcrs().value(pcr)});
    }
    return JudgeSent(sent);
  }
  Verdict JudgeBoot(const EventLogBuilder& truth) { return JudgeBoot(truth, truth.bytes()); }

  Verdict JudgeSent(const Bytes& sent) {
    const AttestationKey ak = AttestationKey::FromArea(ak_.area()).value();
    log_ = ReplayedLog::Make(sent, kSha256);
    EvidenceInput input{.ak = &ak,
                        .quote = {attest_, signature_, send_values_ ? &values_ : nullptr},
                        .log = {},
                        .key = {}};
    if (send_log_ && *log_) input.log.log = &**log_;
    if (send_log_ && !*log_) input.log.refusal = log_->error();
    context_.candidates = candidates_;
    return Judge(input, context_);
  }

  SoftTpmKey ak_{kAkAttributes};
  Bytes nonce_ = Bytes(32, 3);
  JudgeContext context_;
  std::vector<Candidate> candidates_;
  bool send_values_ = true;
  bool send_log_ = true;
  Bytes attest_, signature_;
  std::vector<PcrValue> values_;
  std::optional<Result<ReplayedLog>> log_;
};

TEST_F(JudgeTest, PassesADeviceThatBootedWhatItShould) {
  const Verdict verdict = JudgeBoot(BootOf("uki 1"));

  EXPECT_EQ(verdict.rule(), "");
  EXPECT_TRUE(verdict.passing());
  EXPECT_EQ(verdict.tier, pki::Tier::kMeasured);
  EXPECT_EQ(verdict.matched, ReferenceRole::kCommitted);
  EXPECT_EQ(verdict.secure_boot, true);
  EXPECT_EQ(verdict.attested_at, UnixTime::FromSeconds(1000));
  EXPECT_EQ(verdict.valid_until, UnixTime::FromSeconds(4600));
  EXPECT_EQ(verdict.reference_version, "edge 3");
  EXPECT_TRUE(verdict.ak_verified);
  EXPECT_TRUE(verdict.diff.empty());
}

TEST_F(JudgeTest, PassesWithoutPcrValuesWhenTheLogReplaysToThem) {
  send_values_ = false;
  EXPECT_TRUE(JudgeBoot(BootOf("uki 1")).passing());
}

TEST_F(JudgeTest, NamesTheEventThatDiffers) {
  const Verdict verdict = JudgeBoot(BootOf("evil"));

  EXPECT_EQ(verdict.rule(), "pcr.4");
  EXPECT_FALSE(verdict.passing());
  EXPECT_EQ(verdict.tier, pki::Tier::kNone);
  EXPECT_EQ(verdict.valid_until, verdict.attested_at);
  EXPECT_EQ(verdict.matched, std::nullopt);
  ASSERT_EQ(verdict.diff.size(), 1u);
  const EventDifference& difference = verdict.diff[0];
  EXPECT_EQ(difference.pcr, 4u);
  EXPECT_EQ(difference.type, "EV_EFI_BOOT_SERVICES_APPLICATION");
  EXPECT_EQ(difference.got, HexEncode(DigestOf("evil").view()));
  EXPECT_EQ(difference.expected, HexEncode(DigestOf("uki 1").view()));
  EXPECT_EQ(difference.what, "uki 1");
  EXPECT_EQ(log_->value().log().events.at(*difference.event_index).pcr, 4u);
}

TEST_F(JudgeTest, TellsTheDeviceNoReferenceValue) {
  const Verdict verdict = JudgeBoot(BootOf("evil"));
  const std::string own = OwnEvent(verdict.diff.at(0));
  EXPECT_NE(own.find(verdict.diff[0].got), std::string::npos);
  EXPECT_EQ(own.find(verdict.diff[0].expected), std::string::npos);
  EXPECT_EQ(own.find("uki 1"), std::string::npos);
}

TEST_F(JudgeTest, RefusesOneEventTooManyAndOneTooFew) {
  const Verdict more = JudgeBoot(BootOf("uki 1").Application("second"));
  EXPECT_EQ(more.rule(), "pcr.4");
  EXPECT_EQ(more.diff.at(0).expected, "");

  EventLogBuilder none;
  none.Hashed(0, EventType::kScrtmVersion, AsBytes("firmware 1"))
      .SecureBootVariables()
      .Separator(7);
  const Verdict fewer = JudgeBoot(none.Action(4, kCalling).Separators().Authority());
  EXPECT_EQ(fewer.rule(), "pcr.4");
  EXPECT_EQ(fewer.diff.at(0).got, "");
  EXPECT_EQ(fewer.diff.at(0).event_index, std::nullopt);
}

TEST_F(JudgeTest, RefusesAnotherFirmwareByValue) {
  EventLogBuilder other;
  other.Hashed(0, EventType::kScrtmVersion, AsBytes("firmware 2"))
      .SecureBootVariables()
      .Separator(7);
  const Verdict verdict =
      JudgeBoot(other.Action(4, kCalling).Separators().Authority().Application("uki 1"));
  EXPECT_EQ(verdict.rule(), "pcr.0");
}

TEST_F(JudgeTest, PassesAHealthyDeviceThatFellBackFromARefusedSlot) {
  EventLogBuilder log;
  log.Hashed(0, EventType::kScrtmVersion, AsBytes("firmware 1")).SecureBootVariables().Separator(7);
  log.Action(4, kCalling)
      .Separators()
      .Authority()
      .Action(4, kReturning)
      .Action(4, kCalling)
      .Application("uki 1");
  EXPECT_TRUE(JudgeBoot(log).passing());
}

TEST_F(JudgeTest, RefusesALogThatHidesAnEvent) {
  const Verdict verdict =
      JudgeBoot(BootOf("uki 1").Application("rootkit"), BootOf("uki 1").bytes());
  EXPECT_EQ(verdict.rule(), "log.replay");
  EXPECT_EQ(verdict.diff.at(0).pcr, 4u);
  EXPECT_EQ(verdict.checks.Of("reference.match"), CheckResult::kNotRun);

  send_values_ = false;
  EXPECT_EQ(JudgeBoot(BootOf("uki 1").Application("rootkit"), BootOf("uki 1").bytes()).rule(),
            "quote.digest");
}

TEST_F(JudgeTest, RefusesAQuotedPcrThatTheLogDoesNotTouch) {
  const Verdict verdict = JudgeBoot(BootOf("uki 1").Hashed(14, EventType::kIpl, AsBytes("mok")),
                                    BootOf("uki 1").bytes());
  EXPECT_EQ(verdict.rule(), "log.replay");
  EXPECT_EQ(verdict.diff.at(0).pcr, 14u);
}

TEST_F(JudgeTest, RefusesAMissingLog) {
  send_log_ = false;
  const Verdict verdict = JudgeBoot(BootOf("uki 1"));
  EXPECT_EQ(verdict.rule(), "log.present");
  EXPECT_FALSE(verdict.passing());
}

TEST_F(JudgeTest, RefusesALegacyOrMalformedLog) {
  const EventLogBuilder boot = BootOf("uki 1");
  const Verdict legacy =
      JudgeBoot(boot, VectorFile("eventlog/logs/tpm2tools__event-uefi-sha1-log.bin"));
  EXPECT_EQ(legacy.rule(), "log.format");

  Bytes cut = boot.bytes();
  cut.pop_back();
  EXPECT_EQ(JudgeBoot(boot, cut).rule(), "log.structure");
}

TEST_F(JudgeTest, RefusesWithoutReferences) {
  candidates_.clear();
  EXPECT_EQ(JudgeBoot(BootOf("uki 1")).rule(), "reference.available");
}

TEST_F(JudgeTest, RefusesAnExpectationThatJudgesNothing) {
  candidates_ = {{ReferenceRole::kCommitted, Expectation{.label = "empty"}}};
  EXPECT_EQ(JudgeBoot(BootOf("uki 1")).rule(), "reference.match");
}

TEST_F(JudgeTest, RefusesAnExpectedPcrThatWasNotQuoted) {
  candidates_[0].expectation.pcrs.emplace(9, PcrDigest::Filled(Bank::kSha256, 0));
  EXPECT_EQ(JudgeBoot(BootOf("uki 1")).rule(), "pcr.9");
}

TEST_F(JudgeTest, SaysWhichSetMatched) {
  Allow(ReferenceRole::kPending, ReferenceOf(BootOf("uki 2"), "uki 2"));

  const Verdict verdict = JudgeBoot(BootOf("uki 2"));

  EXPECT_EQ(verdict.matched, ReferenceRole::kPending);
  EXPECT_EQ(verdict.matched_label, "uki 2");
  EXPECT_EQ(JudgeBoot(BootOf("uki 1")).matched, ReferenceRole::kCommitted);
}

TEST_F(JudgeTest, ComparesAFailureWithTheNearestReference) {
  Expectation far = ReferenceOf(BootOf("uki 2"), "far");
  far.pcrs.insert_or_assign(0, PcrDigest::Filled(Bank::kSha256, 1));
  candidates_.insert(candidates_.begin(), {ReferenceRole::kRecovery, far});

  const Verdict verdict = JudgeBoot(BootOf("evil"));

  EXPECT_EQ(verdict.matched_label, "uki 1");
  EXPECT_EQ(verdict.diff.size(), 1u);
}

TEST_F(JudgeTest, AppliesAnAlternativeOnlyInItsSecureBootState) {
  candidates_[0].expectation.secure_boot = false;
  EXPECT_EQ(JudgeBoot(BootOf("uki 1")).rule(), "reference.match");
  candidates_[0].expectation.secure_boot = true;
  EXPECT_TRUE(JudgeBoot(BootOf("uki 1")).passing());
}

TEST_F(JudgeTest, CapsTheTier) {
  context_.tier_cap = pki::Tier::kAttested;
  EXPECT_EQ(JudgeBoot(BootOf("uki 1")).tier, pki::Tier::kAttested);
}

TEST_F(JudgeTest, DoesNotCallADeviceMeasuredWhoseBootWasNotJudged) {
  candidates_[0].expectation.pcrs.erase(4);
  const Verdict verdict = JudgeBoot(BootOf("anything"));
  EXPECT_TRUE(verdict.passing());
  EXPECT_EQ(verdict.tier, pki::Tier::kAttested);
}

TEST_F(JudgeTest, RefusesAnUnrestrictedAkThatForgedTheQuote) {
  ak_ = SoftTpmKey(kAkAttributes & ~pki::tpm::kRestricted);
  const Verdict verdict = JudgeBoot(BootOf("uki 1"));
  EXPECT_EQ(verdict.rule(), "ak.restricted");
  EXPECT_FALSE(verdict.ak_verified);
}

TEST_F(JudgeTest, DoesNotCallAnUnsignedQuoteVerified) {
  static_cast<void>(JudgeBoot(BootOf("uki 1")));
  signature_ = SoftTpmKey(kAkAttributes).Sign(attest_);
  const Verdict verdict = JudgeSent(BootOf("uki 1").bytes());
  EXPECT_EQ(verdict.rule(), "quote.signature");
  EXPECT_FALSE(verdict.ak_verified);
  EXPECT_EQ(verdict.boot_id, std::nullopt);
}

TEST_F(JudgeTest, RefusesWhenAKeyShouldBeProvenAndIsNot) {
  context_.key = KeyExpectation{nonce_, nonce_};
  EXPECT_EQ(JudgeBoot(BootOf("uki 1")).rule(), "key.public");
}

TEST_F(JudgeTest, NamesTheBoot) {
  const Verdict verdict = JudgeBoot(BootOf("uki 1"));
  ByteWriter body;
  body.Raw(AsBytes({"sallyport/boot-id/v1\0", 21}))
      .BigU32(34)
      .Raw(ak_.name())
      .BigU64(0)
      .BigU32(5)
      .BigU32(0);
  body.Raw(pki::Sha256(BootOf("uki 1").bytes()).view());
  EXPECT_EQ(HexEncode(*verdict.boot_id), HexEncode(pki::Sha256(body.bytes())));
}

// One bit of a real log changed: the quote refuses it, or nothing that a rule reads has changed.
TEST_F(JudgeTest, RefusesEveryFlippedBitOfTheLogThatARuleReads) {
  const Bytes honest = BootOf("uki 1").bytes();
  ASSERT_TRUE(JudgeBoot(BootOf("uki 1")).passing());
  const AttestationKey ak = AttestationKey::FromArea(ak_.area()).value();
  CheckList checks(QuoteRules());
  const ReplayedLog genuine = ReplayedLog::Make(honest, kSha256).value();
  const auto quote =
      CheckQuote(ak, {attest_, signature_, &values_, nullptr}, context_.quote, checks);
  ASSERT_TRUE(quote.has_value());
  int survived = 0;

  for (size_t bit = 0; bit < honest.size() * 8; ++bit) {
    Bytes flipped = honest;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const Result<ReplayedLog> log = ReplayedLog::Make(flipped, kSha256);
    if (!log || CompareReplay(quote->pcrs, *log)) continue;
    const Appraisal appraisal = Appraise(candidates_[0].expectation, quote->pcrs, &*log);
    if (!appraisal.matched()) continue;
    ++survived;
    EXPECT_EQ(SecureBootState(quote->pcrs, &*log), true) << bit;
    for (const uint32_t pcr : {4u, 7u})
      EXPECT_EQ(log->grammar(pcr).judged.size(), genuine.grammar(pcr).judged.size());
  }
  EXPECT_LT(survived, static_cast<int>(honest.size() * 8) /
                          4);  // hints, PCRs outside the quote, the header's spare bytes
}

TEST_F(JudgeTest, RefusesEveryTruncationOfTheLog) {
  const EventLogBuilder boot = BootOf("uki 1");
  static_cast<void>(JudgeBoot(boot));
  size_t ends_within_the_quote = 0;
  for (size_t size = 0; size < boot.bytes().size(); ++size) {
    const ByteView cut = ByteView(boot.bytes()).first(size);
    const Result<ReplayedLog> log = ReplayedLog::Make(ToBytes(cut), kSha256);
    if (log) ++ends_within_the_quote;
    EXPECT_FALSE(JudgeSent(ToBytes(cut)).passing()) << size;
  }
  EXPECT_GT(ends_within_the_quote, 0u);
}

// Real boots of OVMF, judged under the events of their own log. Their AK is known as a bare key
// only, so the AK's own rules do not run.
class OvmfVerdict : public testing::TestWithParam<const char*> {
 protected:
  std::string File(const char* name) const {
    return std::string("ovmf/") + GetParam() + "/" + name;
  }

  // The log's PCR 4, 7 and 11 by events; the first event of `changed` is expected to be another
  // one.
  static Expectation ExpectationOf(const ReplayedLog& log, std::optional<uint32_t> changed) {
    Expectation out{.label = "own log"};
    for (const uint32_t pcr : {4u, 7u, 11u}) {
      PcrEventsExpected events;
      for (const Event* const event : log.grammar(pcr).judged)
        events.push_back({event->type, PcrDigest::Of(event->digest(Bank::kSha256)), ""});
      if (changed == pcr) events.at(0).digest = PcrDigest::Filled(Bank::kSha256, 1);
      out.pcrs.emplace(pcr, std::move(events));
    }
    return out;
  }

  Verdict JudgeBoot(std::optional<uint32_t> changed) {
    const Bytes attest = VectorFile(File("quote.msg"));
    const Bytes signature = VectorFile(File("quote.sig"));
    const Bytes nonce = HexDecode(VectorText(File("nonce"))).value();
    const AttestationKey ak =
        AttestationKey::FromPublicKey(pki::PublicKey::FromPem(VectorText(File("ak.pub"))).value());
    const ReplayedLog log = ReplayedLog::Make(VectorFile(File("eventlog.bin")), kSha256).value();
    const std::vector<Candidate> candidates{
        {ReferenceRole::kCommitted, ExpectationOf(log, changed)}};
    JudgeContext context{};
    context.quote.extra_data = nonce;
    context.quote.bank = kSha256;
    context.quote.pcr_mask = 1u << 0 | 1u << 2 | 1u << 4 | 1u << 7 | 1u << 9 | 1u << 11;
    context.candidates = candidates;
    return Judge({.ak = &ak, .quote = {attest, signature}, .log = {&log, std::nullopt}, .key = {}},
                 context);
  }
};

TEST_P(OvmfVerdict, MatchesItsOwnEvents) {
  const Verdict verdict = JudgeBoot(std::nullopt);
  EXPECT_EQ(verdict.checks.FirstFailure(), nullptr) << verdict.checks.FirstFailure()->detail;
  EXPECT_EQ(verdict.matched, ReferenceRole::kCommitted);
  EXPECT_FALSE(verdict.passing());  // rules of the AK were not run
}

TEST_P(OvmfVerdict, NamesTheFirstEventThatIsNotTheExpectedOne) {
  for (const uint32_t pcr : {4u, 7u, 11u}) {
    const Verdict verdict = JudgeBoot(pcr);
    EXPECT_EQ(verdict.rule(), PcrRule(pcr));
    ASSERT_EQ(verdict.diff.size(), 1u);
    EXPECT_EQ(verdict.diff[0].expected, HexEncode(Bytes(32, 1)));
  }
}

INSTANTIATE_TEST_SUITE_P(All, OvmfVerdict,
                         testing::Values("ab-sb-off-step5-v1", "ab-sb-off-step6-v2",
                                         "ab-sb-on-slotA-v1"));

}  // namespace
}  // namespace sallyport::server
