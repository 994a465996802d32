#include "attestation-server/evidence/observe.h"

#include <algorithm>

namespace sallyport::server {
namespace {

bool IsReferenceRule(std::string_view rule) {
  return rule == "reference.available" || rule == "reference.match" || rule.starts_with("pcr.");
}

PcrEventsExpected EventsSeen(uint32_t pcr, const ReplayedLog& log) {
  PcrEventsExpected out;
  for (const Event* const event : log.grammar(pcr).judged)
    out.push_back({event->type, PcrDigest::Of(event->digest(log.bank())), ""});
  return out;
}

PcrExpectation Seen(uint32_t pcr, bool by_value, const AuthenticatedPcrs& pcrs,
                    const ReplayedLog& log) {
  PcrEventsExpected events = EventsSeen(pcr, log);
  if (by_value || events.empty()) return PcrExpectation(*pcrs.value(pcr));
  return PcrExpectation(std::move(events));
}

Expectation Whole(const AuthenticatedPcrs& pcrs, const ReplayedLog& log, uint32_t pcrs_elsewhere) {
  Expectation out;
  out.secure_boot = SecureBootState(pcrs, &log);
  for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
    if (pcrs.selected(pcr) && (pcrs_elsewhere >> pcr & 1) == 0)
      out.pcrs.emplace(pcr, Seen(pcr, false, pcrs, log));
  return out;
}

// CheckGrammars: a value would hide that a log breaks its grammar.
Result<Unit> CheckGrammars(const std::vector<uint32_t>& seen, const ReplayedLog& log) {
  for (const uint32_t pcr : seen)
    if (log.grammar(pcr).fault)
      return Error{Reason::kPolicyDenied,
                   "the log of pcr " + std::to_string(pcr) + " breaks its grammar",
                   "observe.grammar"};
  return Unit{};
}

}  // namespace

bool LacksReferenceOnly(const Verdict& verdict) {
  if (!verdict.quote || verdict.passing()) return false;
  return std::ranges::all_of(verdict.checks.checks(), [](const Check& check) {
    return check.result == CheckResult::kPass ||
           (check.result == CheckResult::kNotRun && check.rule.starts_with("ima.")) ||
           (check.result == CheckResult::kFail && IsReferenceRule(check.rule));
  });
}

std::vector<uint32_t> DiffersOn(const Expectation& expected, const AuthenticatedPcrs& pcrs,
                                const ReplayedLog& log, std::span<const Candidate> known) {
  std::vector<uint32_t> out;
  for (const PcrFinding& finding : Appraise(expected, pcrs, &log, known).findings)
    if (finding.difference) out.push_back(finding.pcr);
  return out;
}

Result<Expectation> Observe(const Expectation* base, const AuthenticatedPcrs& pcrs,
                            const ReplayedLog& log, std::span<const Candidate> known,
                            uint32_t pcrs_elsewhere) {
  Expectation out = base == nullptr ? Whole(pcrs, log, pcrs_elsewhere) : *base;
  out.ima.clear();
  std::vector<uint32_t> seen;
  for (const auto& [pcr, ignored] : out.pcrs) seen.push_back(pcr);
  if (base != nullptr) seen = DiffersOn(*base, pcrs, log, known);
  SP_TRY(CheckGrammars(seen, log));
  for (const uint32_t pcr : seen) {
    PcrExpectation& expected =
        out.pcrs.try_emplace(pcr, PcrExpectation(PcrEventsExpected())).first->second;
    if (std::holds_alternative<SecureBootExpected>(expected))
      return Error{Reason::kPolicyDenied, "pcr 7 says what its reference does not allow",
                   "observe.secure-boot"};
    if (pcrs.selected(pcr))  // else refused below
      expected = Seen(pcr, std::holds_alternative<PcrValueExpected>(expected), pcrs, log);
  }
  if (!Appraise(out, pcrs, &log, known).matched())
    return Error{Reason::kPolicyDenied, "what was seen would not pass even as a reference",
                 "observe.refused"};
  return out;
}

}  // namespace sallyport::server
