#include "attestation-server/operations/devices.h"

#include "attestation-server/enrolment/floor_history.h"
#include "attestation-server/operations/explanation.h"
#include "attestation-server/store/devices.h"
#include "attestation-server/store/issuance.h"
#include "attestation-server/store/learning.h"
#include "attestation-server/store/rollouts.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kReleaseAction = "device.release";

constexpr int64_t kVerdictsShown = 5;

JsonValue TimeOrNull(UnixTime time) {
  return time.ms == 0 ? JsonValue() : JsonValue(FormatRfc3339(time));
}

JsonValue Summary(const DeviceRecord& device, const DeviceOperations::Live& live, UnixTime now) {
  return JsonValue::Object({{"name", device.name},
                            {"state", TextOf(device.state)},
                            {"posture", TextOf(PostureAt(device, now))},
                            {"tier", pki::TierName(device.tier)},
                            {"online", live.is_online(device.id)},
                            {"alarm", live.alarm(device.id)},
                            {"site", device.placement.site},
                            {"class", device.placement.device_class},
                            {"tags", JsonValue::Strings(device.placement.tags)},
                            {"slot", device.running_slot},
                            {"valid_until", TimeOrNull(device.valid_until)},
                            {"id", device.id}});
}

JsonValue Full(const DeviceRecord& device, const DeviceOperations::Live& live, UnixTime now) {
  std::vector<JsonMember> members = *Summary(device, live, now).if_object();
  const auto add = [&members](std::string key, JsonValue value) {
    members.push_back({std::move(key), std::move(value)});
  };
  add("causes", JoinCauses(device.causes));
  add("reason", device.reason);
  add("epoch", device.epoch);
  add("attested_at", TimeOrNull(device.attested_at));
  add("last_seen", TimeOrNull(device.last_seen));
  add("ek_sha256", HexEncode(device.tpm.ek_spki_hash));
  add("tpm", device.tpm.ek_manufacturer + " " + device.tpm.ek_model + " " + device.tpm.ek_version);
  add("vendor_chain", device.tpm.vendor_chain);
  add("tpm_kind", TextOf(device.tpm.kind));
  add("tpm_firmware", device.boot ? JsonValue(device.boot->firmware_version) : JsonValue());
  add("null_name", TextOf(device.null_name));
  add("profile", device.tpm.profile);
  add("ak_name", HexEncode(device.tpm.ak_name));
  add("serial", device.current_key ? JsonValue(device.current_key->serial) : JsonValue());
  add("boot_id", device.boot ? JsonValue(HexEncode(device.boot->id)) : JsonValue());
  add("release",
      device.running_release ? JsonValue(HexEncode(*device.running_release)) : JsonValue());
  add("endpoint", device.endpoint);
  add("manifest_version", device.manifest_version);
  return JsonValue::Object(std::move(members));
}

// WithUpdate adds what the device last said of the release it is assigned.
Result<JsonValue> WithUpdate(Connection& connection, const DeviceRecord& device, JsonValue shown) {
  SP_TRY(const std::optional<RolloutDeviceRow> row, FindAssignment(connection, device.id));
  if (!row) return shown;
  std::vector<JsonMember> members = *shown.if_object();
  const auto add = [&members](std::string key, JsonValue value) {
    members.push_back({std::move(key), std::move(value)});
  };
  add("update_rollout", row->rollout);
  add("update_state", TextOf(row->state));
  add("update_percent", row->percent);
  add("update_gate", row->gate);
  add("update_detail", row->detail);
  add("update_log", row->log_tail);
  if (const auto origins = ParseJson(row->origins)) add("update_origins", *origins);
  return JsonValue::Object(std::move(members));
}

// NearestOf names the set that a verdict was compared with.
Result<Nearest> NearestOf(Connection& connection, const VerdictRow& verdict) {
  if (!verdict.reference_set) return Nearest{};
  SP_TRY(const std::optional<ReferenceRow> row,
         References(connection).Find(*verdict.reference_set));
  if (!row) return Nearest{"a set that is gone"};
  if (row->release) {
    SP_TRY(const std::optional<ReleaseRow> release, FindRelease(connection, *row->release));
    if (release) return Nearest{release->product + " " + release->version};
  }
  return Nearest{"reference set " + HexEncode(row->id).substr(0, 12) + " of class " +
                 row->device_class};
}

// Observations are what a verdict's diff shows that no reference has.
Result<std::vector<Observed>> Observations(const JsonCursor& diff) {
  SP_TRY(const std::vector<JsonCursor> entries, diff.Elements());
  std::vector<Observed> out;
  for (const JsonCursor& entry : entries) {
    SP_TRY(const int64_t pcr, entry.GetInteger("pcr", 0, UINT32_MAX));
    SP_TRY(const std::string_view got, entry.GetString("got"));
    if (!got.empty()) out.push_back({static_cast<uint32_t>(pcr), std::string(got)});
  }
  return out;
}

Result<Others> OthersOf(Connection& connection, const DeviceRecord& device,
                        const JsonCursor& difference) {
  SP_TRY(const int64_t pcr, difference.GetInteger("pcr", 0, UINT32_MAX));
  SP_TRY(const std::string_view got, difference.GetString("got"));
  if (got.empty()) return Others{};
  return CountOthers(connection, device.id, {static_cast<uint32_t>(pcr), std::string(got)});
}

// DiffShown is the stored diff, each entry with who else shows it.
Result<JsonValue> DiffShown(Connection& connection, const DeviceRecord& device,
                            const JsonValue& diff) {
  std::vector<JsonValue> out;
  SP_TRY(const std::vector<JsonCursor> entries, JsonCursor(diff).Elements());
  for (const JsonCursor& entry : entries) {
    SP_TRY(const Others others, OthersOf(connection, device, entry));
    std::vector<JsonMember> members = *entry.value().if_object();
    members.push_back({"others", others.devices});
    members.push_back({"others_failing", others.failing});
    members.push_back({"since", TimeOrNull(others.since)});
    out.push_back(JsonValue::Object(std::move(members)));
  }
  return JsonValue::Array(std::move(out));
}

JsonValue CountsJson(const pki::FloorCounts& counts) {
  std::vector<JsonMember> out;
  for (size_t i = 0; i < counts.size(); ++i)
    out.push_back(
        {std::string(pki::FloorCounterName(static_cast<pki::FloorCounter>(i))), counts[i]});
  return JsonValue::Object(std::move(out));
}

// FloorsShown: a device that never showed floors is of state `none`, and nothing is said of it.
JsonValue FloorsShown(const std::optional<FloorsRow>& row) {
  if (!row) return JsonValue::Object({{"state", "none"}});
  return JsonValue::Object({{"state", row->finding == kFloorsAbsent ? "not-shown" : "certified"},
                            {"certified_at", FormatRfc3339(row->certified_at)},
                            {"held", CountsJson(row->floors)},
                            {"highest", CountsJson(row->highest)},
                            {"finding", row->finding},
                            {"finding_since", TimeOrNull(row->finding_since)},
                            {"meaning", ExplainFloors(row->finding)}});
}

Result<JsonValue> VerdictShown(Connection& connection, const DeviceRecord& device,
                               const VerdictRow& verdict, UnixTime now) {
  SP_TRY(const JsonValue diff, ParseJson(verdict.diff.empty() ? "[]" : verdict.diff));
  SP_TRY(const JsonValue checks, ParseJson(verdict.checks.empty() ? "[]" : verdict.checks));
  SP_TRY(JsonValue shown, DiffShown(connection, device, diff));
  SP_TRY(const Nearest nearest, NearestOf(connection, verdict));
  int64_t same = 0;
  if (!verdict.passed) {
    SP_TRY(same, CountSameFailure(connection, verdict.rule, verdict.diff, now - Days(1)));
  }
  return JsonValue::Object({{"at", FormatRfc3339(verdict.judged_at)},
                            {"at_ms", verdict.judged_at.ms},
                            {"purpose", verdict.purpose},
                            {"verdict", verdict.passed ? "pass" : "fail"},
                            {"rule", verdict.rule},
                            {"diff", std::move(shown)},
                            {"nearest", nearest.name},
                            {"same_in_last_day", same},
                            {"checks", checks},
                            {"evidence_kept", verdict.evidence_hash.has_value()},
                            {"reference", verdict.id}});
}

std::string Standing(const DeviceRecord& device, UnixTime now) {
  std::string out = device.name + " is " + std::string(TextOf(device.state));
  if (!device.causes.empty()) out += " (" + JoinCauses(device.causes) + ")";
  out += ", posture " + std::string(TextOf(PostureAt(device, now)));
  if (device.reason.empty()) return out;
  const std::string meaning = ExplainRule(device.reason);
  return out + ": " + device.reason + (meaning.empty() ? "" : ", " + meaning);
}

Result<std::vector<std::string>> Sentences(Connection& connection, const DeviceRecord& device,
                                           const VerdictRow& verdict) {
  SP_TRY(const JsonValue diff, ParseJson(verdict.diff));
  SP_TRY(const std::vector<JsonCursor> entries, JsonCursor(diff).Elements());
  SP_TRY(const Nearest nearest, NearestOf(connection, verdict));
  std::vector<std::string> out;
  for (const JsonCursor& entry : entries) {
    SP_TRY(const Others others, OthersOf(connection, device, entry));
    SP_TRY(std::string sentence, ExplainDifference(entry, nearest, others));
    out.push_back(std::move(sentence));
  }
  return out;
}

// AcceptCommand is null unless all that is wrong is that nobody approved this boot.
Result<JsonValue> AcceptCommand(Connection& connection, const DeviceRecord& device,
                                const VerdictRow& verdict) {
  SP_TRY(const JsonValue checks, ParseJson(verdict.checks));
  if (!verdict.evidence_hash || !LacksReferenceOnly(JsonCursor(checks))) return JsonValue();
  SP_TRY(const JsonValue diff, ParseJson(verdict.diff));
  SP_TRY(const std::vector<Observed> observed, Observations(JsonCursor(diff)));
  SP_TRY(const std::vector<std::string> same,
         FailingWith(connection, device.placement.device_class, observed));
  return JsonValue::Object({{"verdict", verdict.id},
                            {"devices", std::max<size_t>(same.size(), 1)},
                            {"command", "sallyport reference accept " + verdict.id +
                                            (same.size() <= 1 ? "" : " --same")}});
}

// VoidReleases: approvals of a release count for one quarantine and its causes, no other.
Result<Unit> VoidReleases(Transaction& transaction, const DeviceRecord& device) {
  for (const std::string& name : {device.name, device.id})
    SP_TRY(VoidApprovals(transaction.connection(), kReleaseAction, pki::Sha256(AsBytes(name))));
  return Unit{};
}

Error WrongState(const DeviceRecord& device) {
  return Error{Reason::kConflict, device.name + " is " + std::string(TextOf(device.state)),
               "device.state"};
}

}  // namespace

Result<DeviceRecord> FindDevice(Connection& connection, std::string_view name) {
  Devices devices(connection);
  SP_TRY(std::optional<DeviceRecord> found, devices.FindByName(name));
  if (!found) {
    SP_TRY(found, devices.Find(name));
  }
  if (!found)
    return Error{Reason::kNotFound, "no device '" + std::string(name) + "'", "device.unknown"};
  return *std::move(found);
}

Result<JsonValue> DeviceOperations::List(std::string_view after, int64_t limit, UnixTime now) {
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  SP_TRY(const std::vector<DeviceRecord> records,
         Devices(snapshot.connection()).List(after, limit));
  std::vector<JsonValue> rows;
  for (const DeviceRecord& device : records) rows.push_back(Summary(device, live_, now));
  return JsonValue::Array(std::move(rows));
}

Result<JsonValue> DeviceOperations::Show(std::string_view name, UnixTime now) {
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  SP_TRY(const DeviceRecord device, FindDevice(snapshot.connection(), name));
  SP_TRY(const std::optional<FloorsRow> floors, FindFloors(snapshot.connection(), device.id));
  std::vector<JsonMember> members = *Full(device, live_, now).if_object();
  members.push_back({"floors", FloorsShown(floors)});
  return WithUpdate(snapshot.connection(), device, JsonValue::Object(std::move(members)));
}

Result<JsonValue> DeviceOperations::Explain(std::string_view name, UnixTime now) {
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  SP_TRY(const DeviceRecord device, FindDevice(snapshot.connection(), name));
  SP_TRY(const std::vector<VerdictRow> verdicts,
         ListVerdicts(snapshot.connection(), device.id, kVerdictsShown));
  std::vector<JsonValue> rows;
  for (const VerdictRow& verdict : verdicts) {
    SP_TRY(JsonValue row, VerdictShown(snapshot.connection(), device, verdict, now));
    rows.push_back(std::move(row));
  }
  JsonValue accept;
  std::vector<std::string> summary{Standing(device, now)};
  const auto failed = std::ranges::find(verdicts, false, &VerdictRow::passed);
  if (device.posture == Posture::kFailing && failed != verdicts.end()) {
    SP_TRY(const std::vector<std::string> sentences,
           Sentences(snapshot.connection(), device, *failed));
    summary.insert(summary.end(), sentences.begin(), sentences.end());
    SP_TRY(accept, AcceptCommand(snapshot.connection(), device, *failed));
    if (const JsonValue* const command = accept.Find("command"))
      summary.push_back("to approve this boot for " +
                        std::to_string(*accept.Find("devices")->if_integer()) +
                        " device(s): " + *command->if_string());
  }
  return JsonValue::Object({{"name", device.name},
                            {"posture", TextOf(PostureAt(device, now))},
                            {"reason", device.reason},
                            {"summary", JsonValue::Strings(summary)},
                            {"accept", std::move(accept)},
                            {"verdicts", JsonValue::Array(std::move(rows))}});
}

Result<DeviceRecord> DeviceOperations::Change(const Operator& caller, std::string_view name,
                                              std::string_view event, const Changer& change) {
  std::optional<DeviceRecord> changed;
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(DeviceRecord device, FindDevice(transaction.connection(), name));
    SP_TRY(change(device, transaction));
    SP_TRY(Devices(transaction.connection()).Update(device));
    SP_TRY(transaction.Audit(event, JsonValue::Object({{"device", device.id},
                                                       {"name", device.name},
                                                       {"operator", caller.id},
                                                       {"state", TextOf(device.state)},
                                                       {"causes", JoinCauses(device.causes)},
                                                       {"reason", device.reason},
                                                       {"epoch", device.epoch}})));
    changed = std::move(device);
    return Unit{};
  }));
  return *std::move(changed);
}

Result<JsonValue> DeviceOperations::Approve(const Operator& caller, std::string_view name,
                                            const std::vector<SignedApproval>& approvals,
                                            UnixTime now) {
  SP_TRY(const ApprovalRow approval,
         ApprovalOf(caller, approvals, "device.approve", pki::Sha256(AsBytes(name)), now));
  SP_TRY(const DeviceRecord device,
         Change(caller, name, "device.approved",
                [&](DeviceRecord& record, Transaction& transaction) -> Result<Unit> {
                  if (record.state != DeviceState::kPending) return WrongState(record);
                  SP_TRY(RecordAndCount(transaction, approval, now));
                  record.state = DeviceState::kEnrolled;
                  return Unit{};
                }));
  return Full(device, live_, now);
}

Result<JsonValue> DeviceOperations::Quarantine(const Operator& caller, std::string_view name,
                                               std::string_view cause, std::string_view why,
                                               UnixTime now) {
  SP_TRY(const QuarantineCause parsed, ParseWord<QuarantineCause>(cause));
  if (parsed != QuarantineCause::kOperator && parsed != QuarantineCause::kClone)
    return Error{Reason::kInvalidArgument, "operators quarantine for 'operator' or 'clone'",
                 "quarantine.cause"};
  SP_TRY(const DeviceRecord device,
         Change(caller, name, "device.quarantined",
                [&](DeviceRecord& record, Transaction& transaction) -> Result<Unit> {
                  if (record.state == DeviceState::kRetired) return WrongState(record);
                  SP_TRY(VoidReleases(transaction, record));
                  record.state = DeviceState::kQuarantined;
                  record.causes.insert(parsed);
                  record.reason = std::string(why);
                  ++record.epoch;
                  return Unit{};
                }));
  parts_.events.OnRevoked(device.id, device.epoch);
  return Full(device, live_, now);
}

Result<JsonValue> DeviceOperations::Release(const Operator& caller, std::string_view name,
                                            const std::vector<SignedApproval>& approvals,
                                            UnixTime now) {
  SP_TRY(const ApprovalRow approval,
         ApprovalOf(caller, approvals, kReleaseAction, pki::Sha256(AsBytes(name)), now));
  SP_TRY(
      const DeviceRecord device,
      Change(caller, name, "device.release",
             [&](DeviceRecord& record, Transaction& transaction) -> Result<Unit> {
               if (record.state != DeviceState::kQuarantined) return WrongState(record);
               SP_TRY(const size_t approvers, RecordAndCount(transaction, approval, now));
               if (approvers < kReleaseApprovals) return Unit{};
               SP_TRY(VoidReleases(transaction, record));
               const bool failing = record.causes.contains(QuarantineCause::kPosture);
               record.causes.clear();
               if (failing)
                 record.causes.insert(QuarantineCause::kPosture);  // only a passing boot clears it
               if (!failing) record.state = DeviceState::kEnrolled;
               return Unit{};
             }));
  return Full(device, live_, now);
}

Result<JsonValue> DeviceOperations::Decommission(const Operator& caller, std::string_view name,
                                                 const std::vector<SignedApproval>& approvals,
                                                 UnixTime now) {
  SP_TRY(const ApprovalRow approval,
         ApprovalOf(caller, approvals, "device.decommission", pki::Sha256(AsBytes(name)), now));
  SP_TRY(const DeviceRecord device,
         Change(caller, name, "device.decommissioned",
                [&](DeviceRecord& record, Transaction& transaction) -> Result<Unit> {
                  if (record.state == DeviceState::kRetired) return WrongState(record);
                  SP_TRY(RecordAndCount(transaction, approval, now));
                  record.state = DeviceState::kRetired;
                  record.causes.clear();
                  ++record.epoch;
                  return Unit{};
                }));
  parts_.events.OnRevoked(device.id, device.epoch);
  return Full(device, live_, now);
}

}  // namespace sallyport::server
