#include "attestation-server/evidence/bank_audit.h"

#include <gtest/gtest.h>

#include "tests/fakes/event_log_builder.h"
#include "tests/fakes/soft_tpm_key.h"

namespace sallyport::server {
namespace {

constexpr uint32_t kMask = 1u << 0 | 1u << 4 | 1u << 7;
const std::vector<uint16_t> kFour{0x0004, 0x000B, 0x000C, 0x000D};

// The fixture is an honest audit of a TPM whose SHA-1 and SHA-256 banks are on and extended; each
// test breaks one thing and names the rule that must fail.
class BankAudit : public testing::Test {
 protected:
  BankAudit() {
    expected_ = {kFour, kMask};
    policy_.extra_data = nonce_;
    policy_.bank = pki::HashAlgorithm::kSha256;
    policy_.pcr_mask = kMask;
    selection_ = {{0x0004, kMask}, {0x000B, kMask}, {0x000C, 0}, {0x000D, 0}};
    log_.Hashed(0, EventType::kScrtmVersion, AsBytes("firmware")).Separator(7).Separators();
  }

  Bytes Values(Bank bank) const {
    const ReplayedBank replayed = Replay(ParseEventLog(log_.bytes()).value(), bank);
    Bytes out;
    for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
      if ((kMask >> pcr & 1) != 0) Append(out, replayed.value(pcr).view());
    return out;
  }
  static Bytes Unextended(Bank bank) { return Bytes(3 * BankDigestSize(bank), 0); }
  Bytes QuoteOf(const Bytes& values) {
    fields_.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
    if (fields_.extra_data.empty()) fields_.extra_data = nonce_;
    fields_.body =
        QuoteBodyBytes(selection_, pki::Hash(pki::HashAlgorithm::kSha256, {ByteView(values)}));
    return fields_.Write();
  }
  Bytes Honest() {
    Bytes values = Values(Bank::kSha1);
    Append(values, Values(Bank::kSha256));
    return QuoteOf(values);
  }

  std::string Failure(const Bytes& attest) { return Failure(attest, ak_.Sign(attest)); }
  std::string Failure(const Bytes& attest, const Bytes& signature) {
    return Failure(std::optional(BankAuditInput{attest, signature}));
  }
  std::string Failure(const std::optional<BankAuditInput>& input) {
    checks_ = CheckList(BankAuditRules());
    const ReplayedLog log = ReplayedLog::Make(log_.bytes(), pki::HashAlgorithm::kSha256).value();
    CheckBankAudit(key_, input, expected_, policy_, PolicyQuote(), log, checks_);
    const Check* const failure = checks_.FirstFailure();
    EXPECT_EQ(failure == nullptr, checks_.AllPassed());
    detail_ = failure == nullptr ? "" : failure->detail;
    return failure == nullptr ? "" : std::string(failure->rule);
  }
  // PolicyQuote is the quote of the SHA-256 bank, which is judged apart.
  AuthenticatedQuote PolicyQuote() {
    AttestFields fields;
    fields.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
    fields.extra_data = nonce_;
    const Bytes values = Values(Bank::kSha256);
    fields.body =
        QuoteBodyBytes({{0x000B, kMask}}, pki::Hash(pki::HashAlgorithm::kSha256, {values}));
    const Bytes attest = fields.Write();
    const ReplayedLog log = ReplayedLog::Make(log_.bytes(), pki::HashAlgorithm::kSha256).value();
    CheckList checks(QuoteRules());
    const Bytes signature = ak_.Sign(attest);
    return *CheckQuote(key_, {attest, signature, nullptr, &log.pcrs()}, policy_, checks);
  }

  SoftTpmKey ak_{kAkAttributes};
  AttestationKey key_ = AttestationKey::FromArea(ak_.area()).value();
  Bytes nonce_ = Bytes(32, 9);
  EventLogBuilder log_{{Bank::kSha1, Bank::kSha256}};
  pki::PcrSelection selection_;
  AttestFields fields_;
  BankAuditExpectation expected_;
  QuoteExpectation policy_{};
  CheckList checks_;
  std::string detail_;
};

TEST_F(BankAudit, AcceptsBanksThatTheLogAccountsFor) { EXPECT_EQ(Failure(Honest()), ""); }

TEST_F(BankAudit, RefusesItsAbsence) { EXPECT_EQ(Failure(std::nullopt), "bank.present"); }

TEST_F(BankAudit, RefusesASignatureOfAnotherKeyAndOneThatDoesNotParse) {
  const Bytes attest = Honest();
  EXPECT_EQ(Failure(attest, SoftTpmKey(kAkAttributes).Sign(attest)), "bank.signature");
  EXPECT_EQ(Failure(attest, {}), "bank.structure");
  EXPECT_EQ(Failure(Bytes(pki::kAttestBytesMax + 1), ak_.Sign(attest)), "bank.size");
  Bytes other = ak_.Sign(attest);
  other[3] = 0x0C;
  EXPECT_EQ(Failure(attest, other), "bank.scheme");
}

TEST_F(BankAudit, RefusesWhatIsNoQuote) {
  fields_.magic = 0;
  EXPECT_EQ(Failure(Honest()), "bank.magic");
  fields_.magic = pki::tpm::kGenerated;
  fields_.type = static_cast<uint16_t>(pki::tpm::AttestType::kCertify);
  EXPECT_EQ(Failure(Honest()), "bank.type");
}

TEST_F(BankAudit, RefusesAnotherChallengeAndAnotherParent) {
  fields_.extra_data = Bytes(32, 8);
  EXPECT_EQ(Failure(Honest()), "bank.extra-data");
  fields_.extra_data = nonce_;
  Bytes attest = Honest();
  fields_.qualified_signer = ak_.qualified_name(pki::tpm::kOwner);
  EXPECT_EQ(Failure(fields_.Write()), "bank.qualified-signer");
}

TEST_F(BankAudit, RefusesAQuoteOfAnotherBootOrFirmware) {
  ++fields_.clock.reset_count;
  EXPECT_EQ(Failure(Honest()), "bank.boot");
  --fields_.clock.reset_count;
  ++fields_.clock.restart_count;
  EXPECT_EQ(Failure(Honest()), "bank.boot");
  --fields_.clock.restart_count;
  ++fields_.firmware;
  EXPECT_EQ(Failure(Honest()), "bank.boot");
}

// Whoever leaves a bank out of the selection hides whether it is on.
TEST_F(BankAudit, RefusesASelectionThatLeavesABankOut) {
  selection_ = {{0x000B, kMask}, {0x000C, 0}, {0x000D, 0}};
  EXPECT_EQ(Failure(QuoteOf(Values(Bank::kSha256))), "bank.selection");
  selection_ = {{0x000B, kMask}};
  EXPECT_EQ(Failure(QuoteOf(Values(Bank::kSha256))), "bank.selection");
}

TEST_F(BankAudit, RefusesOtherPcrsThanRequested) {
  selection_[0].bitmap = 1u << 0;
  EXPECT_EQ(Failure(Honest()), "bank.selection");
  selection_[0].bitmap = kMask | 1u << 16;
  EXPECT_EQ(Failure(Honest()), "bank.selection");
}

TEST_F(BankAudit, RefusesASwitchedOffPolicyBank) {
  selection_[1].bitmap = 0;
  EXPECT_EQ(Failure(QuoteOf(Values(Bank::kSha1))), "bank.selection");
}

TEST_F(BankAudit, RefusesABankThatTheLogDoesNotCarry) {
  selection_[2].bitmap = kMask;
  EXPECT_EQ(Failure(Honest()), "bank.log");
  EXPECT_NE(detail_.find("bank sha384 is live and not in the log"), std::string::npos);
}

TEST_F(BankAudit, RefusesALiveBankThatItCannotReplay) {
  expected_.banks.push_back(0x0012);
  selection_.push_back({0x0012, kMask});
  EXPECT_EQ(Failure(Honest()), "bank.log");
  EXPECT_NE(detail_.find("bank sm3-256"), std::string::npos);
}

TEST_F(BankAudit, RefusesALogOfABankThatWasNotAskedFor) {
  expected_.banks = {0x000B, 0x000C, 0x000D};
  selection_ = {{0x000B, kMask}, {0x000C, 0}, {0x000D, 0}};
  EXPECT_EQ(Failure(QuoteOf(Values(Bank::kSha256))), "bank.log");
  EXPECT_NE(detail_.find("bank sha1 is in the log"), std::string::npos);
}

TEST_F(BankAudit, NamesABankThatWasNeverExtended) {
  Bytes values = Unextended(Bank::kSha1);
  Append(values, Values(Bank::kSha256));
  EXPECT_EQ(Failure(QuoteOf(values)), "bank.replay");
  EXPECT_NE(detail_.find("bank sha1 is live and was never extended"), std::string::npos);
}

// The attack of CVE-2021-42299: firmware extended SHA-1, the attacker SHA-256 with another log.
TEST_F(BankAudit, RefusesALegacyBankThatHoldsAnotherBoot) {
  EventLogBuilder truth({Bank::kSha1, Bank::kSha256});
  truth.Hashed(0, EventType::kScrtmVersion, AsBytes("evil")).Separator(7).Separators();
  const ReplayedBank real = Replay(ParseEventLog(truth.bytes()).value(), Bank::kSha1);
  Bytes values;
  for (const uint32_t pcr : {0u, 4u, 7u}) Append(values, real.value(pcr).view());
  Append(values, Values(Bank::kSha256));
  EXPECT_EQ(Failure(QuoteOf(values)), "bank.replay");
  EXPECT_NE(detail_.find("bank sha1 does not hold"), std::string::npos);
}

TEST_F(BankAudit, RefusesEveryTruncationAndEveryFlippedBit) {
  const Bytes attest = Honest();
  const Bytes signature = ak_.Sign(attest);
  for (size_t size = 0; size < attest.size(); ++size)
    EXPECT_NE(Failure(ToBytes(ByteView(attest).first(size)), signature), "");
  for (size_t bit = 0; bit < attest.size() * 8; bit += 3) {
    Bytes flipped = attest;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_EQ(Failure(flipped, signature), "bank.signature");
  }
}

TEST(AuditBanks, HaveNamesBothWays) {
  for (const AuditBank& bank : AuditBanks()) {
    EXPECT_EQ(AuditBankFromName(bank.name), bank.algorithm);
    EXPECT_EQ(AuditBankName(bank.algorithm), bank.name);
  }
  EXPECT_FALSE(AuditBankFromName("md5"));
}

}  // namespace
}  // namespace sallyport::server
