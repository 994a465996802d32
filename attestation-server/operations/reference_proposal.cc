#include "attestation-server/operations/reference_proposal.h"

#include <algorithm>
#include <set>

#include "attestation-server/archive/rejudge.h"
#include "attestation-server/evidence/observe.h"
#include "attestation-server/operations/devices.h"
#include "attestation-server/reference/reference_file.h"
#include "attestation-server/store/issuance.h"
#include "attestation-server/store/learning.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

Error Denied(std::string_view rule, std::string detail) {
  return Error{Reason::kPolicyDenied, std::move(detail), rule};
}

Result<VerdictRow> FailedVerdict(Connection& connection, std::string_view id) {
  SP_TRY(std::optional<VerdictRow> row, FindVerdict(connection, id));
  if (!row) return Error{Reason::kNotFound, "no verdict " + std::string(id), "verdict.unknown"};
  if (row->passed) return Denied("proposal.passed", "that boot passed");
  if (!row->evidence_hash)
    return Error{Reason::kNotFound, "its evidence was not kept", "verdict.not-kept"};
  return *std::move(row);
}

Result<std::unique_ptr<StoredJudgement>> JudgeAgain(Connection& connection, EvidenceBlobs& blobs,
                                                    const VerdictRow& verdict) {
  SP_TRY(const Bytes document, blobs.Get(*verdict.evidence_hash));
  return JudgeStored(
      AsText(document), [&blobs](const Sha256Digest& hash) { return blobs.Get(hash); },
      [&connection](const Sha256Digest& id) -> Result<std::string> {
        SP_TRY(const std::optional<ReferenceRow> row, References(connection).Find(id));
        if (!row) return Error{Reason::kNotFound, "a set is gone", "reference.unknown"};
        return row->json;
      });
}

const Candidate* NearestIn(const StoredJudgement& judged) {
  for (const Candidate& candidate : judged.references.candidates)
    if (candidate.expectation.label == judged.verdict.matched_label) return &candidate;
  return nullptr;
}

// DecidedByRelease: a release that is assigned to the device names one of `pcrs`, and wins.
bool DecidedByRelease(const StoredJudgement& judged, const Candidate* nearest,
                      const std::vector<uint32_t>& pcrs) {
  const bool of_release = nearest != nullptr && nearest->role != ReferenceRole::kOwn &&
                          judged.references.Matched(judged.verdict.matched_label)->role.has_value();
  return of_release &&
         std::ranges::any_of(pcrs, [](uint32_t pcr) { return pcr == 4 || pcr == 11; });
}

Result<std::vector<Observed>> ObservedIn(const StoredJudgement& judged) {
  std::vector<Observed> out;
  for (const EventDifference& difference : judged.verdict.diff)
    if (!difference.got.empty()) out.push_back({difference.pcr, difference.got});
  return out;
}

// DevicesOf resolves the scope to ids, sorted; empty for a whole class.
Result<std::vector<std::string>> DevicesOf(Connection& connection, const DeviceRecord& subject,
                                           const StoredJudgement& judged,
                                           const ProposalScope& scope) {
  if (scope.whole_class) return std::vector<std::string>();
  std::set<std::string> ids{subject.id};
  for (const std::string& name : scope.devices) {
    SP_TRY(const DeviceRecord device, FindDevice(connection, name));
    if (device.placement.device_class != subject.placement.device_class)
      return Error{Reason::kMismatch, device.name + " is of another class", "proposal.class"};
    ids.insert(device.id);
  }
  if (scope.all_same) {
    SP_TRY(const std::vector<Observed> observed, ObservedIn(judged));
    SP_TRY(const std::vector<std::string> same,
           FailingWith(connection, subject.placement.device_class, observed));
    ids.insert(same.begin(), same.end());
  }
  return std::vector<std::string>(ids.begin(), ids.end());
}

Result<JsonValue> Shown(Connection& connection, const ReferenceFile& file,
                        const std::vector<uint32_t>& pcrs, const std::string& nearest) {
  const std::string json = WriteReferenceFile(file);
  const Sha256Digest id = pki::Sha256(AsBytes(json));
  SP_TRY(const std::optional<ReferenceRow> row, References(connection).Find(id));
  std::vector<JsonValue> changed(pcrs.begin(), pcrs.end());
  std::vector<std::string> names;
  for (const std::string& device : file.devices) {
    SP_TRY(const DeviceRecord record, FindDevice(connection, device));
    names.push_back(record.name);
  }
  return JsonValue::Object({{"json", json},
                            {"id", HexEncode(id)},
                            {"class", file.device_class},
                            {"devices", JsonValue::Strings(names)},
                            {"pcrs", JsonValue::Array(std::move(changed))},
                            {"nearest", nearest},
                            {"state", row ? JsonValue(TextOf(row->state)) : JsonValue()}});
}

}  // namespace

Result<JsonValue> ReferenceProposals::Propose(std::string_view verdict_id,
                                              const ProposalScope& scope) {
  if (scope.whole_class && (scope.all_same || !scope.devices.empty()))
    return Error{Reason::kInvalidArgument, "a class, or devices of it", "proposal.scope"};
  SP_TRY(Snapshot snapshot, database_.Read());
  Connection& connection = snapshot.connection();
  SP_TRY(const VerdictRow verdict, FailedVerdict(connection, verdict_id));
  SP_TRY(const DeviceRecord subject, FindDevice(connection, verdict.device_id));
  SP_TRY(const auto judged, JudgeAgain(connection, blobs_, verdict));
  if (judged->proof.log == nullptr || !LacksReferenceOnly(judged->verdict))
    return Denied("proposal.authenticity", "more is wrong than a lack of reference values: " +
                                               std::string(judged->verdict.rule()));
  const Candidate* const nearest = NearestIn(*judged);
  const Expectation* const base = nearest == nullptr ? nullptr : &nearest->expectation;
  const auto& candidates = judged->references.candidates;
  const AuthenticatedPcrs& pcrs = judged->verdict.quote->pcrs;
  SP_TRY(const Expectation seen,
         Observe(base, pcrs, *judged->proof.log, candidates, judged->stored.terms.pcrs_elsewhere));
  std::vector<uint32_t> changed;
  if (base != nullptr) changed = DiffersOn(*base, pcrs, *judged->proof.log, candidates);
  if (scope.whole_class && DecidedByRelease(*judged, nearest, changed))
    return Denied(
        "proposal.release",
        "a release decides what this boot may be, for which a class has no say: accept it "
        "for devices (--device NAME, or --same), or roll out a release that has it");
  ReferenceFile file{.device_class = subject.placement.device_class,
                     .bank = judged->proof.ticket.bank,
                     .expectation = seen};
  SP_TRY(file.devices, DevicesOf(connection, subject, *judged, scope));
  return Shown(connection, file, changed, judged->verdict.matched_label);
}

}  // namespace sallyport::server
