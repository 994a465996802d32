// QuotedBoot judges boots: a software TPM quotes what a log replays to, and the log is appraised
// under the given alternatives.
#pragma once

#include "attestation-server/evidence/verdict.h"
#include "tests/fakes/event_log_builder.h"
#include "tests/fakes/soft_tpm_key.h"

namespace sallyport::server {

class QuotedBoot {
 public:
  static constexpr auto kBank = pki::HashAlgorithm::kSha256;
  static constexpr uint32_t kAllPcrs = 0x00FFFF;

  // Judge quotes the PCRs of `mask` that `truth` replays to, and appraises `sent`.
  struct Outcome {
    CheckList checks;
    ReferenceOutcome reference;
    std::optional<AuthenticatedPcrs> pcrs;
    std::string rule() const {
      const Check* const failure = checks.FirstFailure();
      return failure == nullptr ? "" : std::string(failure->rule);
    }
    std::string detail() const { return reference.diff.empty() ? "" : reference.diff.front().what; }
  };
  Outcome Judge(const Bytes& truth, const Bytes& sent, const std::vector<Candidate>& candidates,
                uint32_t mask = kAllPcrs) {
    Outcome out;
    out.checks.Add(QuoteRules());
    out.checks.Add(kMore);
    const ReplayedLog real = ReplayedLog::Make(truth, kBank).value();
    const ReplayedLog log = ReplayedLog::Make(sent, kBank).value();
    pki::Hasher hasher(kBank);
    std::vector<PcrValue> values;
    for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr) {
      if ((mask >> pcr & 1) == 0) continue;
      hasher.Update(real.pcrs().value(pcr).view());
      values.push_back({pcr, real.pcrs().value(pcr)});
    }
    AttestFields fields;
    fields.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
    fields.extra_data = nonce_;
    fields.body = QuoteBodyBytes({{pki::tpm::kAlgSha256, mask}}, hasher.Finish());
    const Bytes attest = fields.Write();
    const Bytes signature = ak_.Sign(attest);
    QuoteExpectation expected;
    expected.extra_data = nonce_;
    expected.bank = kBank;
    expected.pcr_mask = mask;
    const auto quote =
        CheckQuote(key_, {attest, signature, &values, &log.pcrs()}, expected, out.checks);
    if (quote) out.pcrs = quote->pcrs;
    if (!quote || CheckReplay(quote->pcrs, log, out.checks)) return out;
    out.reference = CheckReference(candidates, quote->pcrs, &log, out.checks);
    return out;
  }
  Outcome Judge(const EventLogBuilder& log, const std::vector<Candidate>& candidates) {
    return Judge(log.bytes(), log.bytes(), candidates);
  }

 private:
  static constexpr std::string_view kMore[] = {"log.replay", "reference.available"};
  SoftTpmKey ak_{kAkAttributes};
  AttestationKey key_ = AttestationKey::FromArea(ak_.area()).value();
  Bytes nonce_ = Bytes(32, 3);
};

}  // namespace sallyport::server
