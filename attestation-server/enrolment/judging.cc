#include "attestation-server/enrolment/judging.h"

#include <algorithm>

namespace sallyport::server {
namespace {

std::string ChecksJson(const CheckList& checks) {
  std::vector<JsonValue> out;
  for (const Check& check : checks.checks())
    if (check.result != CheckResult::kPass)
      out.push_back(JsonValue::Object({{"rule", check.rule},
                                       {"result", CheckResultName(check.result)},
                                       {"detail", check.detail}}));
  return WriteJson(JsonValue::Array(std::move(out)));
}

std::string DiffJson(const std::vector<EventDifference>& differences) {
  std::vector<JsonValue> out;
  for (const EventDifference& d : differences)
    out.push_back(JsonValue::Object(
        {{"pcr", d.pcr},
         {"event", d.event_index.has_value() ? static_cast<int64_t>(*d.event_index) : -1},
         {"type", d.type},
         {"got", d.got},
         {"data", d.data},
         {"expected", d.expected},
         {"what", d.what}}));
  return WriteJson(JsonValue::Array(std::move(out)));
}

JsonValue HashOrNull(const std::optional<Sha256Digest>& hash) {
  return hash ? JsonValue(HexEncode(*hash)) : JsonValue();
}

Result<std::optional<Sha256Digest>> ReadHash(const JsonCursor& json, std::string_view key) {
  SP_TRY(const JsonCursor member, json.Member(key));
  if (member.value().kind() == JsonValue::Kind::kNull) return std::optional<Sha256Digest>();
  SP_TRY(const std::string_view hex, member.String());
  const Result<Bytes> bytes = HexDecode(hex);
  if (!bytes || bytes->size() != Sha256Digest::kSize)
    return member.Refuse("expected 64 hex digits", "verdict.hash");
  return std::optional(*Sha256Digest::FromView(*bytes));
}

constexpr int64_t kTimeMax = int64_t{1} << 53;  // far beyond any clock

Result<UnixTime> ReadTime(const JsonCursor& json, std::string_view key) {
  SP_TRY(const int64_t ms, json.GetInteger(key, 0, kTimeMax));
  return UnixTime{ms};
}

Result<uint64_t> ReadCount(const JsonCursor& json, std::string_view key) {
  SP_TRY(const int64_t count, json.GetInteger(key, 0));
  return static_cast<uint64_t>(count);
}

}  // namespace

Verdict JudgeCase(const Case& proof, const JudgeTerms& terms,
                  std::span<const Candidate> candidates) {
  const ReceivedEvidence& e = *proof.evidence;
  EvidenceInput evidence;
  evidence.ak = proof.ak.get();
  evidence.quote = {e.quotes.front().attest, e.quotes.front().signature,
                    proof.values.empty() ? nullptr : &proof.values, nullptr};
  evidence.log = {proof.log.get(), proof.log_refusal};
  evidence.key = KeyInput{e.key_certification, e.tls_public,    e.creation_data,
                          e.key_attest,        e.key_signature, proof.csr_spki};
  if (e.quotes.size() > 1) evidence.bank_audit = {e.quotes[1].attest, e.quotes[1].signature};
  if (!e.null_name_attest.empty())
    evidence.null_name = {e.null_name, e.null_name_attest, e.null_name_signature};
  for (const ReceivedFloor& floor : e.floors)
    evidence.floors.push_back({floor.attest, floor.signature});
  if (e.ima) evidence.ima = ImaInput{e.ima->first, e.ima->list};
  JudgeContext context;
  context.quote.extra_data = proof.quote_extra_data.view();
  context.quote.bank = proof.ticket.bank;
  context.quote.pcr_mask = terms.pcr_mask;
  context.quote.last = terms.last;
  context.quote.firmware_floor = terms.firmware_floor;
  context.new_boot = terms.new_boot;
  context.frozen_ak_name = terms.frozen_ak_name;
  context.key = KeyExpectation{proof.key_qualifying_data.view(), proof.ticket.nonce.view(),
                               AkParent::kEndorsement};
  context.floors_extra_data = proof.floors_qualifying_data.view();
  context.candidates = candidates;
  context.reference_version = std::to_string(terms.reference_epoch);
  context.challenge_made_at = proof.ticket.made_at;
  context.evidence_lifetime = terms.evidence_lifetime;
  context.ima = terms.ima;
  context.pcrs_elsewhere = terms.pcrs_elsewhere;
  return Judge(evidence, context);
}

VerdictRow RowOf(const Case& proof, const Verdict& verdict, const OpenReferences& references) {
  VerdictRow row;
  row.device_id = proof.ticket.device_id;
  row.purpose = pki::PurposeName(proof.ticket.purpose);
  row.passed = verdict.passing();
  row.rule = verdict.rule();
  row.checks = ChecksJson(verdict.checks);
  row.diff = DiffJson(verdict.diff);
  row.log_hash = proof.log_hash;
  if (const OpenReference* const matched = references.Matched(verdict.matched_label))
    row.reference_set = matched->id;
  row.attested_at = verdict.attested_at;
  row.valid_until = verdict.valid_until;
  return row;
}

JsonValue VerdictJson(const VerdictRow& row) {
  return JsonValue::Object({{"id", row.id},
                            {"device", row.device_id},
                            {"purpose", row.purpose},
                            {"passed", row.passed},
                            {"rule", row.rule},
                            {"checks", row.checks},
                            {"diff", row.diff},
                            {"evidence_sha256", HashOrNull(row.evidence_hash)},
                            {"log_sha256", HashOrNull(row.log_hash)},
                            {"reference_set", HashOrNull(row.reference_set)},
                            {"reference_epoch", row.reference_epoch},
                            {"policy_epoch", row.policy_epoch},
                            {"issuer_epoch", row.issuer_epoch},
                            {"attested_at_ms", row.attested_at.ms},
                            {"valid_until_ms", row.valid_until.ms},
                            {"judged_at_ms", row.judged_at.ms}});
}

Result<VerdictRow> ParseVerdict(const JsonCursor& json) {
  SP_TRY(json.OnlyKeys({"id", "device", "purpose", "passed", "rule", "checks", "diff",
                        "evidence_sha256", "log_sha256", "reference_set", "reference_epoch",
                        "policy_epoch", "issuer_epoch", "attested_at_ms", "valid_until_ms",
                        "judged_at_ms"}));
  VerdictRow row;
  for (const auto& [key, text] : {std::pair("id", &row.id), std::pair("device", &row.device_id),
                                  std::pair("purpose", &row.purpose), std::pair("rule", &row.rule),
                                  std::pair("checks", &row.checks), std::pair("diff", &row.diff)}) {
    SP_TRY(*text, json.GetString(key));
  }
  SP_TRY(const JsonCursor::Flag passed, json.GetBool("passed"));
  row.passed = passed.value;
  SP_TRY(row.evidence_hash, ReadHash(json, "evidence_sha256"));
  SP_TRY(row.log_hash, ReadHash(json, "log_sha256"));
  SP_TRY(row.reference_set, ReadHash(json, "reference_set"));
  SP_TRY(row.reference_epoch, ReadCount(json, "reference_epoch"));
  SP_TRY(row.policy_epoch, ReadCount(json, "policy_epoch"));
  SP_TRY(row.issuer_epoch, ReadCount(json, "issuer_epoch"));
  SP_TRY(row.attested_at, ReadTime(json, "attested_at_ms"));
  SP_TRY(row.valid_until, ReadTime(json, "valid_until_ms"));
  SP_TRY(row.judged_at, ReadTime(json, "judged_at_ms"));
  return row;
}

}  // namespace sallyport::server
