// The bank audit: one quote over every PCR bank that a TPM may have, so that no bank is live that
// the log does not account for (a firmware that extends one bank and leaves another to whoever
// comes later is what "TPM Carte Blanche", CVE-2021-42299, lives on). A TPM clears banks that are
// switched off from the selection that it signs (TPM 2.0 Part 3, 18.4). Pure; thread-safe.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "attestation-server/evidence/quote.h"

namespace sallyport::server {

// AuditBank is a bank by TPM algorithm id; not every one can be replayed here.
struct AuditBank {
  uint16_t algorithm;
  std::string_view name;
};
std::span<const AuditBank> AuditBanks();
std::optional<uint16_t> AuditBankFromName(std::string_view name);
// AuditBankName is the number of a bank without a name.
std::string AuditBankName(uint16_t algorithm);

struct BankAuditInput {
  ByteView attest;
  ByteView signature;
};

struct BankAuditExpectation {
  std::vector<uint16_t> banks;  // every bank that this kind of TPM has, live or not, as asked for
  uint32_t pcr_mask = 0;        // those that firmware logs: see kAuditPcrs
};

// kAuditPcrs: PCR 10 is IMA's, whose list is another log, and those from 16 on can be reset.
inline constexpr uint32_t kAuditPcrs = 0xFFFF & ~(1u << 10);

// Rules of CheckBankAudit, in the order in which they run:
//   bank.present            the quote came
//   bank.size bank.scheme bank.signature bank.magic bank.type bank.structure
//   bank.qualified-signer   as quote.qualified-signer
//   bank.extra-data         as quote.extra-data
//   bank.boot               made in the boot, and by the firmware, of the policy's quote
//   bank.selection          exactly the banks asked for, each with all requested PCRs or with none,
//                           and the policy's bank live
//   bank.log                the log carries each live bank, and no bank that was not asked for
//   bank.replay             each live bank holds what the log replays to
std::span<const std::string_view> BankAuditRules();

// CheckBankAudit decides the rules above in `checks` (which must hold them), as far as the quote of
// the policy and the log let it. SHA-1 banks are replayed like the others: to see that firmware
// extends them, and for nothing else.
void CheckBankAudit(const AttestationKey& ak, const std::optional<BankAuditInput>& input,
                    const BankAuditExpectation& expected, const QuoteExpectation& policy,
                    const AuthenticatedQuote& quote, const ReplayedLog& log, CheckList& checks);

}  // namespace sallyport::server
