#include "attestation-server/operations/references.h"

#include "attestation-server/reference/reference_file.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

Result<Sha256Digest> ParseId(std::string_view id) {
  const Result<Bytes> bytes = HexDecode(id);
  if (!bytes || bytes->size() != Sha256Digest::kSize)
    return Error{Reason::kInvalidArgument, "an id is 64 hex digits", "reference.id"};
  return Sha256Digest::FromView(*bytes);
}

JsonValue RowJson(const ReferenceRow& row) {
  return JsonValue::Object(
      {{"id", HexEncode(row.id)},
       {"class", row.device_class},
       {"state", TextOf(row.state)},
       {"release", row.release ? JsonValue(HexEncode(*row.release)) : JsonValue()},
       {"created_at", FormatRfc3339(row.created_at)}});
}

}  // namespace

Result<JsonValue> ReferenceOperations::Import(const Operator& caller, std::string_view device_class,
                                              ByteView json,
                                              const std::vector<SignedApproval>& approvals,
                                              UnixTime now) {
  const Sha256Digest id = pki::Sha256(json);
  SP_TRY(const ApprovalRow approval,
         ApprovalOf(caller, approvals, kReferenceApproveAction, id, now));
  SP_TRY(const ReferenceFile file, ParseReferenceFile(AsText(json)));
  if (file.device_class != device_class)
    return Error{Reason::kMismatch, "the file is for class '" + file.device_class + "'",
                 "reference.class"};
  const ReferenceRow row{
      id, file.device_class, ReferenceState::kCandidate, ToString(json), std::nullopt, now};
  JsonValue shown;
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(References(transaction.connection()).Insert(row));
    SP_TRY(transaction.Audit("reference.imported", JsonValue::Object({{"id", HexEncode(id)},
                                                                      {"class", row.device_class},
                                                                      {"operator", caller.id}})));
    SP_TRY(shown, Fire(transaction, row,
                       {kReferenceApproveAction, ReferenceEvent::kApproved, "reference.active"},
                       approval, now));
    return Unit{};
  }));
  changed_();
  return shown;
}

Result<JsonValue> ReferenceOperations::Approve(const Operator& caller, std::string_view id,
                                               const std::vector<SignedApproval>& approvals,
                                               UnixTime now) {
  return Change(caller, id,
                {kReferenceApproveAction, ReferenceEvent::kApproved, "reference.active"}, approvals,
                now);
}

Result<JsonValue> ReferenceOperations::Retire(const Operator& caller, std::string_view id,
                                              const std::vector<SignedApproval>& approvals,
                                              UnixTime now) {
  return Change(caller, id,
                {kReferenceRetireAction, ReferenceEvent::kWithdrawn, "reference.retired"},
                approvals, now);
}

Result<JsonValue> ReferenceOperations::Change(const Operator& caller, std::string_view id,
                                              const Act& act,
                                              const std::vector<SignedApproval>& approvals,
                                              UnixTime now) {
  SP_TRY(const Sha256Digest digest, ParseId(id));
  SP_TRY(const ApprovalRow approval, ApprovalOf(caller, approvals, act.action, digest, now));
  JsonValue shown;
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(const std::optional<ReferenceRow> row,
           References(transaction.connection()).Find(digest));
    if (!row) return Error{Reason::kNotFound, "no such reference set", "reference.unknown"};
    SP_TRY(shown, Fire(transaction, *row, act, approval, now));
    return Unit{};
  }));
  changed_();
  return shown;
}

Result<JsonValue> ReferenceOperations::Fire(Transaction& transaction, ReferenceRow row,
                                            const Act& act, const ApprovalRow& approval,
                                            UnixTime now) const {
  const std::optional<ReferenceState> next = NextReferenceState(row.state, act.event);
  if (!next)
    return Error{Reason::kConflict, "the set is " + std::string(TextOf(row.state)),
                 "reference.state"};
  if (act.event == ReferenceEvent::kApproved && row.release)
    return Error{Reason::kPolicyDenied, "a rollout opens the values of a release",
                 "reference.release"};
  SP_TRY(const size_t approvers, RecordAndCount(transaction, approval, now));
  if (approvers >= needed_) {
    SP_TRY(References(transaction.connection()).SetState(row.id, *next));
    SP_TRY(VoidApprovals(transaction.connection(), act.action, row.id));
    SP_TRY(transaction.Audit(act.audit, JsonValue::Object({{"id", HexEncode(row.id)},
                                                           {"class", row.device_class},
                                                           {"operator", approval.operator_id}})));
    row.state = *next;
  }
  return JsonValue::Object({{"id", HexEncode(row.id)},
                            {"class", row.device_class},
                            {"state", TextOf(row.state)},
                            {"approvals", approvers},
                            {"needed", needed_}});
}

Result<JsonValue> ReferenceOperations::List(int64_t limit) {
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  SP_TRY(const std::vector<ReferenceRow> rows, References(snapshot.connection()).ListAll(limit));
  std::vector<JsonValue> out;
  for (const ReferenceRow& row : rows) out.push_back(RowJson(row));
  return JsonValue::Array(std::move(out));
}

}  // namespace sallyport::server
