#include "attestation-server/operations/references.h"

#include <algorithm>

#include "attestation-server/reference/reference_file.h"
#include "attestation-server/store/learning.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

constexpr int64_t kLearnedListMax = 10'000;  // sets of one class, in any state

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
       {"scope", TextOf(row.scope)},
       {"retire_at", row.retire_at ? JsonValue(FormatRfc3339(*row.retire_at)) : JsonValue()},
       {"release", row.release ? JsonValue(HexEncode(*row.release)) : JsonValue()},
       {"created_at", FormatRfc3339(row.created_at)}});
}

// CheckNamed: the devices and sets that a file names are there and of its class.
Result<Unit> CheckNamed(Connection& connection, const ReferenceFile& file) {
  Devices devices(connection);
  for (const std::string& id : file.devices) {
    SP_TRY(const std::optional<DeviceRecord> device, devices.Find(id));
    if (!device) return Error{Reason::kNotFound, "no device " + id, "device.unknown"};
    if (device->placement.device_class != file.device_class)
      return Error{Reason::kMismatch, device->name + " is of another class", "reference.device"};
  }
  for (const Sha256Digest& id : file.supersedes) {
    SP_TRY(const std::optional<ReferenceRow> row, References(connection).Find(id));
    if (!row) return Error{Reason::kNotFound, "no set " + HexEncode(id), "reference.supersedes"};
    if (row->device_class != file.device_class || row->scope != ReferenceScope::kClass)
      return Error{Reason::kMismatch, HexEncode(id) + " is no set of the class",
                   "reference.supersedes"};
  }
  return Unit{};
}

Result<Unit> AuditSet(Transaction& transaction, std::string_view event, const ReferenceRow& row,
                      std::string_view why) {
  SP_TRY(transaction.Audit(
      event,
      JsonValue::Object({{"id", HexEncode(row.id)}, {"class", row.device_class}, {"why", why}})));
  return Unit{};
}

// Move fires `event` on another set when its state knows it.
Result<Unit> Move(Transaction& transaction, const Sha256Digest& id, ReferenceEvent event,
                  std::string_view audit, std::string_view why,
                  std::optional<UnixTime> retire_at = std::nullopt) {
  References references(transaction.connection());
  SP_TRY(const std::optional<ReferenceRow> row, references.Find(id));
  const std::optional<ReferenceState> next =
      row ? NextReferenceState(row->state, event) : std::nullopt;
  if (!next) return Unit{};
  SP_TRY(references.SetState(id, *next, retire_at));
  return AuditSet(transaction, audit, *row, why);
}

// StillSuperseded lists what the sets of a class that judge now have superseded.
Result<std::vector<Sha256Digest>> StillSuperseded(Connection& connection,
                                                  std::string_view device_class) {
  std::vector<Sha256Digest> out;
  SP_TRY(const std::vector<ReferenceRow> rows, References(connection).InForce(device_class));
  for (const ReferenceRow& row : rows) {
    SP_TRY(const ReferenceFile file, ParseReferenceFile(row.json));
    out.insert(out.end(), file.supersedes.begin(), file.supersedes.end());
  }
  return out;
}

}  // namespace

Result<Unit> ReferenceOperations::Activate(Transaction& transaction, const ReferenceRow& row,
                                           UnixTime now) {
  SP_TRY(const ReferenceFile file, ParseReferenceFile(row.json));
  for (const std::string& device : file.devices)
    SP_TRY(References(transaction.connection()).Assign(device, ReferenceRole::kOwn, row.id));
  for (const Sha256Digest& id : file.supersedes)
    SP_TRY(Move(transaction, id, ReferenceEvent::kSuperseded, "reference.retiring",
                "superseded by " + HexEncode(row.id), now + kReferenceOverlap));
  return Unit{};
}

Result<Unit> ReferenceOperations::Withdraw(Transaction& transaction, const ReferenceRow& row) {
  // What a candidate would have superseded never retired.
  if (row.state != ReferenceState::kActive) return Unit{};
  SP_TRY(const ReferenceFile file, ParseReferenceFile(row.json));
  if (file.supersedes.empty()) return Unit{};
  SP_TRY(const auto others, StillSuperseded(transaction.connection(), row.device_class));
  for (const Sha256Digest& id : file.supersedes) {
    if (std::ranges::find(others, id) != others.end()) continue;
    SP_TRY(Move(transaction, id, ReferenceEvent::kReinstated, "reference.reinstated",
                HexEncode(row.id) + " was withdrawn"));
  }
  return Unit{};
}

Result<JsonValue> ReferenceOperations::Learn(const Operator& caller, std::string_view device_class,
                                             UnixTime until, UnixTime now) {
  if (until <= now || until > now + kLearningMax || device_class.empty())
    return Error{Reason::kInvalidArgument, "a window ends within seven days", "learning.time"};
  const LearningWindow window{std::string(device_class), caller.id, now, until};
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(OpenWindow(transaction.connection(), window));
    SP_TRY(transaction.Audit("learning.opened", JsonValue::Object({{"class", window.device_class},
                                                                   {"until", FormatRfc3339(until)},
                                                                   {"operator", caller.id}})));
    return Unit{};
  }));
  return JsonValue::Object(
      {{"class", window.device_class}, {"state", "learning"}, {"until", FormatRfc3339(until)}});
}

Result<JsonValue> ReferenceOperations::StopLearning(const Operator& caller,
                                                    std::string_view device_class) {
  std::vector<std::string> candidates;
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    Connection& connection = transaction.connection();
    SP_TRY(const auto window, FindWindow(connection, device_class));
    SP_TRY(const std::vector<ReferenceRow> rows,
           References(connection).List(device_class, kLearnedListMax));
    for (const ReferenceRow& row : rows) {
      if (row.state != ReferenceState::kLearning) continue;
      SP_TRY(Move(transaction, row.id, ReferenceEvent::kCaptured, "reference.candidate",
                  "learned; closed by " + caller.id));
      candidates.push_back(HexEncode(row.id));
    }
    if (!window && candidates.empty())
      return Error{Reason::kNotFound, "the class is not being learned", "learning.closed"};
    SP_TRY(CloseWindow(connection, device_class));
    SP_TRY(transaction.Audit(
        "learning.closed", JsonValue::Object({{"class", device_class}, {"operator", caller.id}})));
    return Unit{};
  }));
  return JsonValue::Object({{"class", device_class},
                            {"state", "closed"},
                            {"candidates", JsonValue::Strings(candidates)}});
}

Result<size_t> ReferenceOperations::RetireAged(UnixTime now) {
  size_t retired = 0;
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(const std::vector<ReferenceRow> rows,
           References(transaction.connection()).RetiringUntil(now));
    for (const ReferenceRow& row : rows)
      SP_TRY(Move(transaction, row.id, ReferenceEvent::kWithdrawn, "reference.retired",
                  "its overlap is over"));
    retired = rows.size();
    return Unit{};
  }));
  if (retired > 0) changed_();
  return retired;
}

Result<JsonValue> ReferenceOperations::Show(std::string_view id) {
  SP_TRY(const Sha256Digest digest, ParseId(id));
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  SP_TRY(const std::optional<ReferenceRow> row, References(snapshot.connection()).Find(digest));
  if (!row) return Error{Reason::kNotFound, "no such reference set", "reference.unknown"};
  SP_TRY(const std::vector<std::string> learned, LearnedFrom(snapshot.connection(), digest));
  SP_TRY(JsonValue values, ParseJson(row->json));
  const JsonValue shown = RowJson(*row);
  std::vector<JsonMember> members = *shown.if_object();
  members.push_back({"learned_from", JsonValue::Strings(learned)});
  members.push_back({"json", row->json});
  members.push_back({"values", std::move(values)});
  return JsonValue::Object(std::move(members));
}

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
  const ReferenceRow row{id,
                         file.device_class,
                         ReferenceState::kCandidate,
                         ToString(json),
                         std::nullopt,
                         now,
                         file.devices.empty() ? ReferenceScope::kClass : ReferenceScope::kDevices};
  JsonValue shown;
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(CheckNamed(transaction.connection(), file));
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
    SP_TRY(act.event == ReferenceEvent::kApproved ? Activate(transaction, row, now)
                                                  : Withdraw(transaction, row));
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
