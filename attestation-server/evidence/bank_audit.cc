#include "attestation-server/evidence/bank_audit.h"

#include <algorithm>

namespace sallyport::server {
namespace {

constexpr AuditBank kAuditBanks[] = {
    {0x0004, "sha1"},    {0x000B, "sha256"},   {0x000C, "sha384"},   {0x000D, "sha512"},
    {0x0012, "sm3-256"}, {0x0027, "sha3-256"}, {0x0028, "sha3-384"}, {0x0029, "sha3-512"}};
static_assert(std::size(kAuditBanks) <= pki::kPcrBanksMax);

constexpr AttestRules kAttestRules{"bank.size",  "bank.scheme", "bank.signature",
                                   "bank.magic", "bank.type",   "bank.structure"};
constexpr std::string_view kRules[] = {
    "bank.present",    "bank.size", "bank.scheme",    "bank.signature",
    "bank.magic",      "bank.type", "bank.structure", "bank.qualified-signer",
    "bank.extra-data", "bank.boot", "bank.selection", "bank.log",
    "bank.replay"};

std::optional<Bank> ReplayableBank(uint16_t algorithm) {
  for (const Bank bank : kBanks)
    if (static_cast<uint16_t>(bank) == algorithm) return bank;
  return std::nullopt;
}

bool SameBoot(const pki::Attest& audit, const AuthenticatedQuote& quote) {
  return audit.clock.reset_count == quote.clock.reset_count &&
         audit.clock.restart_count == quote.clock.restart_count &&
         audit.firmware_version == quote.firmware_version;
}

class BankAuditor {
 public:
  BankAuditor(const BankAuditExpectation& expected, const QuoteExpectation& policy,
              const ReplayedLog& log, CheckList& checks)
      : expected_(expected), policy_(policy), log_(log), checks_(checks) {}

  void Run(const pki::QuoteBody& quote, pki::HashAlgorithm hash) {
    if (!CheckSelection(quote.selection) || !CheckLog()) return;
    for (const Bank bank : live_) replayed_.push_back(Replay(log_.log(), bank));
    checks_.Require("bank.replay", Equal(DigestOf(replayed_, hash), quote.pcr_digest),
                    WhyNot(quote.pcr_digest, hash));
  }

 private:
  bool Refuse(std::string_view rule, std::string why) {
    checks_.Fail(rule, std::move(why));
    return false;
  }

  // CheckSelection leaves the live banks in `algorithms_`.
  bool CheckSelection(const pki::PcrSelection& selection) {
    const auto say = [&](std::string why) { return Refuse("bank.selection", std::move(why)); };
    if (!std::ranges::equal(selection, expected_.banks, {}, &pki::PcrBank::algorithm))
      return say("not the banks that these TPMs have");
    for (const pki::PcrBank& bank : selection) {
      if (bank.bitmap == 0) continue;
      if (bank.bitmap != expected_.pcr_mask)
        return say("other pcrs than requested of bank " + AuditBankName(bank.algorithm));
      algorithms_.push_back(bank.algorithm);
    }
    const auto policy_bank = static_cast<uint16_t>(policy_.bank);
    if (std::ranges::find(algorithms_, policy_bank) == algorithms_.end())
      return say("bank " + AuditBankName(policy_bank) + " is off");
    checks_.Pass("bank.selection");
    return true;
  }

  // CheckLog leaves the live banks, all of which the log carries, in `live_`.
  bool CheckLog() {
    for (const uint16_t algorithm : algorithms_) {
      const std::optional<Bank> bank = ReplayableBank(algorithm);
      if (!bank || !log_.log().Carries(*bank))
        return Refuse("bank.log", "bank " + AuditBankName(algorithm) +
                                      " is live and not in the log: switch it off");
      live_.push_back(*bank);
    }
    for (const Bank bank : log_.log().banks)
      if (std::ranges::find(expected_.banks, static_cast<uint16_t>(bank)) == expected_.banks.end())
        return Refuse("bank.log", "bank " + std::string(BankName(bank)) +
                                      " is in the log and not among the banks of these TPMs");
    checks_.Pass("bank.log");
    return true;
  }

  Bytes DigestOf(const std::vector<ReplayedBank>& banks, pki::HashAlgorithm hash) const {
    pki::Hasher hasher(hash);
    for (const ReplayedBank& bank : banks)
      for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
        if ((expected_.pcr_mask >> pcr & 1) != 0) hasher.Update(bank.value(pcr).view());
    return hasher.Finish();
  }

  // WhyNot names the bank: one that was never extended is found by trying; else it is one of those
  // that are not the policy's, whose own quote is judged apart.
  std::string WhyNot(ByteView quoted, pki::HashAlgorithm hash) const {
    std::string others;
    for (size_t i = 0; i < live_.size(); ++i) {
      std::vector<ReplayedBank> banks = replayed_;
      banks[i] = ReplayedBank(live_[i], log_.log().startup_locality.value_or(0));
      const std::string name(BankName(live_[i]));
      if (Equal(DigestOf(banks, hash), quoted))
        return "bank " + name + " is live and was never extended: switch it off";
      if (live_[i] != BankOf(policy_.bank)) others += (others.empty() ? "" : " or ") + name;
    }
    return "bank " + others + " does not hold what the log replays to";
  }

  const BankAuditExpectation& expected_;
  const QuoteExpectation& policy_;
  const ReplayedLog& log_;
  CheckList& checks_;
  std::vector<uint16_t> algorithms_;
  std::vector<Bank> live_;
  std::vector<ReplayedBank> replayed_;
};

}  // namespace

std::span<const AuditBank> AuditBanks() { return kAuditBanks; }

std::optional<uint16_t> AuditBankFromName(std::string_view name) {
  const auto found = std::ranges::find(kAuditBanks, name, &AuditBank::name);
  return found == std::end(kAuditBanks) ? std::nullopt : std::optional(found->algorithm);
}

std::string AuditBankName(uint16_t algorithm) {
  const auto found = std::ranges::find(kAuditBanks, algorithm, &AuditBank::algorithm);
  return found == std::end(kAuditBanks) ? std::to_string(algorithm) : std::string(found->name);
}

std::span<const std::string_view> BankAuditRules() { return kRules; }

void CheckBankAudit(const AttestationKey& ak, const std::optional<BankAuditInput>& input,
                    const BankAuditExpectation& expected, const QuoteExpectation& policy,
                    const AuthenticatedQuote& quote, const ReplayedLog& log, CheckList& checks) {
  if (!checks.Require("bank.present", input.has_value(), "no quote over all banks")) return;
  const std::optional<SignedAttest> verified = CheckAttestSignature(
      ak, input->attest, input->signature, pki::tpm::AttestType::kQuote, kAttestRules, checks);
  if (!verified) return;
  const pki::Attest& attest = verified->attest;
  const bool signer = CheckSigner(ak, policy.ak_parent, attest, "bank.qualified-signer", checks);
  const bool fresh = checks.Require("bank.extra-data",
                                    pki::ConstantTimeEqual(attest.extra_data, policy.extra_data),
                                    "does not answer this challenge");
  const bool boot = checks.Require("bank.boot", SameBoot(attest, quote),
                                   "the tpm was reset between the two quotes");
  if (signer && fresh && boot)
    BankAuditor(expected, policy, log, checks).Run(*attest.quote(), verified->hash);
}

}  // namespace sallyport::server
