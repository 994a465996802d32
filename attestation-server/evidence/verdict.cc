#include "attestation-server/evidence/verdict.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kLogRules[] = {"log.present", "log.format", "log.structure"};
constexpr std::string_view kReplayRule[] = {"log.replay"};
constexpr std::string_view kAvailableRule[] = {"reference.available"};
constexpr std::string_view kMatchRule[] = {"reference.match"};

bool IsFormatRefusal(std::string_view rule) {
  return rule == "legacy-log" || rule == "cc-log" || rule == "log.bank";
}

// A quirk may have been applied in several PCRs; it is shown once.
void RecordQuirk(const Quirk& quirk, CheckList& checks) {
  const auto shown = std::ranges::find(checks.checks(), quirk.check, &Check::rule);
  if (shown != checks.checks().end()) return;
  checks.Add({&quirk.check, 1});
  checks.Pass(quirk.check, std::string(quirk.vendor) + " " + std::string(quirk.reason) +
                               " (relaxes " + std::string(quirk.rule) + ")");
}

void RecordFindings(const Appraisal& appraisal, ReferenceOutcome& out, CheckList& checks) {
  for (const PcrFinding& finding : appraisal.findings) {
    checks.Add({&finding.rule, 1});
    checks.Require(finding.rule, !finding.difference,
                   finding.difference ? OwnEvent(*finding.difference) : "");
    for (const Quirk* const quirk : finding.quirks) RecordQuirk(*quirk, checks);
    if (finding.difference) out.diff.push_back(*finding.difference);
  }
}

std::string MatchFailure(const Candidate& nearest, const Appraisal& appraisal) {
  if (!appraisal.secure_boot_applies) return "no reference for this secure boot state";
  return "nearest: " + std::string(ReferenceRoleName(nearest.role)) + " " +
         nearest.expectation.label;
}

bool JudgesBoot(const Candidate& candidate) {
  return candidate.expectation.pcrs.contains(4) && candidate.expectation.pcrs.contains(7);
}

bool AkVerified(const CheckList& checks) {
  for (const std::string_view rule : AkRules())
    if (checks.Of(rule) != CheckResult::kPass) return false;
  return checks.Of("quote.signature") == CheckResult::kPass;
}

void JudgeBoot(const EvidenceInput& evidence, const JudgeContext& context, const ReplayedLog& log,
               Verdict& verdict, bool& judges_boot) {
  const AuthenticatedPcrs& pcrs = verdict.quote->pcrs;
  verdict.boot_id = ComputeBootId(evidence.ak->name(), verdict.quote->boot.generation,
                                  verdict.quote->clock, log.hash());
  if (auto difference = CheckReplay(pcrs, log, verdict.checks, context.pcrs_elsewhere)) {
    verdict.diff.push_back(*std::move(difference));
    return;
  }
  verdict.secure_boot = SecureBootState(pcrs, &log);
  ReferenceOutcome outcome = CheckReference(context.candidates, pcrs, &log, verdict.checks);
  verdict.diff = std::move(outcome.diff);
  if (outcome.nearest == nullptr) return;
  verdict.matched_label = outcome.nearest->expectation.label;
  judges_boot = JudgesBoot(*outcome.nearest);
  if (outcome.matched) verdict.matched = outcome.nearest->role;
}

void JudgeIma(const EvidenceInput& evidence, const JudgeContext& context, Verdict& verdict) {
  const bool clean = verdict.passing() && verdict.quote && verdict.boot_id;
  verdict.checks.Add(ImaRules());
  if (!clean) return;
  const ImaReferences references = ImaReferences::Of(context.candidates);
  std::optional<ImaOutcome> outcome =
      CheckIma(verdict.quote->pcrs, *verdict.boot_id, evidence.ima ? &*evidence.ima : nullptr,
               {*context.ima, &references}, verdict.checks);
  if (!outcome) return;
  verdict.ima_end = outcome->end;
  verdict.diff = std::move(outcome->diff);
}

void JudgeFloors(const EvidenceInput& evidence, const JudgeContext& context, Verdict& verdict) {
  verdict.checks.Add(FloorRules());
  if (!verdict.quote) return;
  verdict.floors = CheckFloors(*evidence.ak, evidence.floors, context.floors_extra_data,
                               context.quote.ak_parent, *verdict.quote, verdict.checks);
}

void JudgeNewBoot(const EvidenceInput& evidence, const JudgeContext& context,
                  const ReplayedLog& log, Verdict& verdict) {
  CheckBankAudit(*evidence.ak, evidence.bank_audit, context.new_boot->bank_audit, context.quote,
                 *verdict.quote, log, verdict.checks);
  verdict.null_name =
      CheckNullName(*evidence.ak, evidence.null_name, context.new_boot->require_null_name,
                    context.quote, *verdict.quote, verdict.checks);
}

}  // namespace

std::string_view Verdict::rule() const {
  if (const Check* const failure = checks.FirstFailure()) return failure->rule;
  if (const Check* const missing = checks.FirstNotRun()) return missing->rule;
  return {};
}

std::span<const std::string_view> LogRules() { return kLogRules; }

const ReplayedLog* CheckLog(const LogInput& input, pki::HashAlgorithm bank, CheckList& checks) {
  if (!checks.Require("log.present", input.log != nullptr || input.refusal, "no event log"))
    return nullptr;
  if (input.log != nullptr) {
    if (!checks.Require("log.format", input.log->bank() == BankOf(bank),
                        "replayed in another bank"))
      return nullptr;
    checks.Pass("log.structure");
    return input.log;
  }
  const bool format = IsFormatRefusal(input.refusal->rule);
  if (!format) checks.Pass("log.format");
  checks.Fail(format ? "log.format" : "log.structure", input.refusal->ToString());
  return nullptr;
}

std::optional<EventDifference> CheckReplay(const AuthenticatedPcrs& pcrs, const ReplayedLog& log,
                                           CheckList& checks, uint32_t elsewhere) {
  std::optional<EventDifference> difference = CompareReplay(pcrs, log, elsewhere);
  checks.Require(
      "log.replay", !difference,
      difference ? "pcr " + std::to_string(difference->pcr) + " holds another value" : "");
  return difference;
}

ReferenceOutcome CheckReference(std::span<const Candidate> candidates,
                                const AuthenticatedPcrs& pcrs, const ReplayedLog* log,
                                CheckList& checks) {
  ReferenceOutcome out;
  if (!checks.Require("reference.available", !candidates.empty(),
                      "no reference values for this device"))
    return out;
  Appraisal nearest;
  for (const Candidate& candidate : candidates) {
    Appraisal appraisal = Appraise(candidate.expectation, pcrs, log, candidates);
    out.matched = appraisal.matched();
    // An alternative for the other Secure Boot state is only nearest when there is nothing better.
    const auto rank = [](const Appraisal& a) {
      return std::pair(a.secure_boot_applies, a.Nearness());
    };
    if (out.nearest == nullptr || out.matched || rank(appraisal) > rank(nearest)) {
      out.nearest = &candidate;
      nearest = std::move(appraisal);
    }
    if (out.matched) break;
  }
  RecordFindings(nearest, out, checks);
  checks.Add(kMatchRule);
  checks.Require("reference.match", out.matched,
                 out.matched ? "" : MatchFailure(*out.nearest, nearest));
  return out;
}

BootId ComputeBootId(ByteView ak_name, uint64_t generation, const pki::ClockInfo& clock,
                     const Sha256Digest& log_hash) {
  ByteWriter body;
  body.Sized32(ak_name)
      .BigU64(generation)
      .BigU32(clock.reset_count)
      .BigU32(clock.restart_count)
      .Raw(log_hash.view());
  return BootId::FromArray(pki::LabelledDigest("sallyport/boot-id/v1", {body.bytes()}).array());
}

Verdict Judge(const EvidenceInput& evidence, const JudgeContext& context) {
  Verdict out;
  out.reference_version = context.reference_version;
  out.attested_at = out.valid_until = context.challenge_made_at;
  for (const auto rules :
       {AkRules(), LogRules(), QuoteRules(), std::span<const std::string_view>(kReplayRule)})
    out.checks.Add(rules);
  if (context.new_boot) out.checks.Add(BankAuditRules());

  CheckAk(*evidence.ak, context.frozen_ak_name, out.checks);
  const ReplayedLog* const log = CheckLog(evidence.log, context.quote.bank, out.checks);
  QuoteInput quote = evidence.quote;
  quote.replay = log == nullptr ? nullptr : &log->pcrs();
  out.quote = CheckQuote(*evidence.ak, quote, context.quote, out.checks);
  out.ak_verified = AkVerified(out.checks);
  if (log != nullptr) out.log_hash = log->hash();

  if (out.quote && log != nullptr && context.new_boot) JudgeNewBoot(evidence, context, *log, out);
  out.checks.Add(kAvailableRule);
  bool judges_boot = false;
  if (out.quote && log != nullptr) JudgeBoot(evidence, context, *log, out, judges_boot);
  if (context.key) {
    out.checks.Add(
        KeyRules(evidence.key ? evidence.key->certification : KeyCertification::kCreation));
    if (evidence.key) out.key = CheckKey(*evidence.ak, *evidence.key, *context.key, out.checks);
  }
  if (!evidence.floors.empty()) JudgeFloors(evidence, context, out);
  if (context.ima) JudgeIma(evidence, context, out);

  if (!out.passing()) return out;
  out.tier = std::min(judges_boot ? pki::Tier::kMeasured : pki::Tier::kAttested, context.tier_cap);
  out.valid_until = context.challenge_made_at + context.evidence_lifetime;
  return out;
}

}  // namespace sallyport::server
