#include "attestation-server/operations/rollouts.h"

#include <set>

#include "attestation-server/operations/content_keys.h"
#include "attestation-server/operations/devices.h"
#include "attestation-server/reference/device_sets.h"
#include "attestation-server/reference/reference_file.h"
#include "attestation-server/store/content_keys.h"
#include "attestation-server/store/references.h"
#include "ota/metadata/release.h"
#include "pki/base/log.h"
#include "pki/base/printable.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

constexpr int64_t kDevicesMax = 200'000;
constexpr int64_t kRolloutPage = 100;
// A rollout of thousands does not bring all their logs with each look at it.
constexpr size_t kLogsShown = 20;
constexpr std::string_view kAnyClass = "*";  // a release's values are not of one class

ota::RolloutState ToPure(RolloutState state) {
  const std::optional<ota::RolloutState> pure = ota::RolloutStateFromName(TextOf(state));
  SP_CHECK(pure.has_value());
  return *pure;
}

RolloutState FromPure(ota::RolloutState state) {
  const Result<RolloutState> stored = ParseWord<RolloutState>(ota::RolloutStateName(state));
  SP_CHECK(stored.has_value());
  return *stored;
}

// Fire moves the rollout; kConflict ("rollout.state") when the table has no such edge.
Result<Unit> Fire(RolloutRow& row, ota::RolloutEvent event, std::string why, UnixTime now) {
  const ota::RolloutState from = ToPure(row.state);
  std::optional<ota::RolloutState> next = ota::Next(from, event);
  if (event == ota::RolloutEvent::kResume && next) next = ota::Resumed(ToPure(row.resume_state));
  if (!next) {
    return Error{Reason::kConflict,
                 "a rollout in state " + std::string(TextOf(row.state)) + " does not take '" +
                     std::string(ota::RolloutEventName(event)) + "'",
                 "rollout.state"};
  }
  if (event == ota::RolloutEvent::kPause) row.resume_state = row.state;
  row.state = FromPure(*next);
  row.why = std::move(why);
  row.changed_at = now;
  return Unit{};
}

std::vector<ota::DeviceProgress> ProgressOf(const std::vector<RolloutDeviceRow>& rows) {
  std::vector<ota::DeviceProgress> out;
  for (const RolloutDeviceRow& row : rows)
    out.push_back({row.wave == RolloutWave::kCanary, row.assigned,
                   row.state == UpdateState::kCommitted, HasFailed(row), row.percent});
  return out;
}

Result<std::vector<Sha256Digest>> SetsOfRelease(Connection& connection,
                                                const ReleaseDigest& release) {
  SP_TRY(const std::vector<ReferenceRow> rows, References(connection).List(kAnyClass, kDevicesMax));
  std::vector<Sha256Digest> ids;
  for (const ReferenceRow& row : rows)
    if (row.release == release) ids.push_back(row.id);
  return ids;
}

// Assign names the release for the devices of `wave` and opens its reference values for exactly
// them.
Result<Unit> AssignWave(Transaction& transaction, const RolloutRow& rollout, RolloutWave wave) {
  Rollouts rollouts(transaction.connection());
  SP_TRY(const std::vector<RolloutDeviceRow> rows, rollouts.DevicesOf(rollout.name));
  SP_TRY(const std::vector<Sha256Digest> sets,
         SetsOfRelease(transaction.connection(), rollout.release));
  References references(transaction.connection());
  for (RolloutDeviceRow row : rows) {
    if (row.wave != wave || row.assigned) continue;
    row.assigned = true;
    SP_TRY(rollouts.UpdateDevice(row));
    SP_TRY(references.Withdraw(row.device_id, ReferenceRole::kPending));
    for (const Sha256Digest& id : sets)
      SP_TRY(references.Assign(row.device_id, ReferenceRole::kPending, id));
  }
  return Unit{};
}

// ClassSets are the values a device is judged under that has no release of its own yet.
Result<std::vector<Sha256Digest>> ClassSets(Connection& connection, const std::string& device_id) {
  SP_TRY(const std::optional<DeviceRecord> device, Devices(connection).Find(device_id));
  if (!device) return std::vector<Sha256Digest>();
  SP_TRY(const std::vector<JudgedReference> rows,
         References(connection).ForDevice(device_id, device->placement.device_class));
  std::vector<Sha256Digest> ids;
  for (const JudgedReference& judged : rows)
    if (!judged.role) ids.push_back(judged.row.id);
  return ids;
}

Result<ota::Release> ReleaseNow(Connection& connection, const ReleaseDigest& digest) {
  SP_TRY(const std::optional<ReleaseRow> row, FindRelease(connection, digest));
  if (!row) return Error{Reason::kNotFound, "no such release", "release.unknown"};
  return ota::ParseRelease(AsBytes(row->json));
}

// KeepForRecovery leaves `set` open for a fall back from `committed`. A release with a security
// floor ends what is below it, and images that have no index at all: the device's own floor keeps
// them from being installed, but they may still lie in the other slot, and whoever has the disk can
// start that one.
Result<Unit> KeepForRecovery(Connection& connection, const std::string& device_id,
                             const Sha256Digest& set, const ota::Release& committed) {
  References references(connection);
  if (committed.security_floor) {
    SP_TRY(const std::optional<ReferenceRow> row, references.Find(set));
    if (!row || !row->release) return Unit{};
    SP_TRY(const ota::Release older, ReleaseNow(connection, *row->release));
    if (older.rollback_index < committed.rollback_index) return Unit{};
  }
  return references.Assign(device_id, ReferenceRole::kRecovery, set);
}

// CommitSets makes what was pending the device's committed set and keeps the one before for
// recovery: a machine whose new slot breaks later falls back to the old one, and must not look
// like an attack.
Result<Unit> CommitSets(Connection& connection, const std::string& device_id,
                        const ota::Release& release) {
  References references(connection);
  SP_TRY(const std::vector<Sha256Digest> pending,
         DeviceReferences(connection, device_id, ReferenceRole::kPending));
  if (pending.empty()) return Unit{};
  SP_TRY(std::vector<Sha256Digest> committed,
         DeviceReferences(connection, device_id, ReferenceRole::kCommitted));
  if (committed.empty()) {
    SP_TRY(committed, ClassSets(connection, device_id));
  }
  SP_TRY(references.Withdraw(device_id, ReferenceRole::kRecovery));
  SP_TRY(references.Withdraw(device_id, ReferenceRole::kCommitted));
  SP_TRY(references.Withdraw(device_id, ReferenceRole::kPending));
  for (const Sha256Digest& id : committed)
    SP_TRY(KeepForRecovery(connection, device_id, id, release));
  for (const Sha256Digest& id : pending)
    SP_TRY(references.Assign(device_id, ReferenceRole::kCommitted, id));
  return Unit{};
}

// SettleDevice: reference values follow what the device ended with.
Result<Unit> SettleDevice(Transaction& transaction, const RolloutDeviceRow& row) {
  const bool failed = HasFailed(row);
  if (!failed && row.state != UpdateState::kCommitted) return Unit{};
  Connection& connection = transaction.connection();
  if (failed) {
    SP_TRY(References(connection).Withdraw(row.device_id, ReferenceRole::kPending));
  } else {
    SP_TRY(const std::optional<RolloutRow> rollout, Rollouts(connection).Find(row.rollout));
    if (!rollout) return Error{Reason::kNotFound, "no such rollout", "rollout.unknown"};
    SP_TRY(const ota::Release release, ReleaseNow(connection, rollout->release));
    SP_TRY(CommitSets(connection, row.device_id, release));
  }
  SP_TRY(transaction.Audit("update.ended", JsonValue::Object({{"device", row.device_id},
                                                              {"state", TextOf(row.state)},
                                                              {"rollout", row.rollout},
                                                              {"gate", row.gate},
                                                              {"detail", row.detail}})));
  return Unit{};
}

// SettleRollout halts or completes the rollout when the reports demand it.
Result<Unit> SettleRollout(Connection& connection, const std::string& name, UnixTime now) {
  Rollouts rollouts(connection);
  SP_TRY(std::optional<RolloutRow> rollout, rollouts.Find(name));
  SP_TRY(const std::vector<RolloutDeviceRow> devices, rollouts.DevicesOf(name));
  if (!rollout) return Unit{};
  const std::optional<ota::RolloutEvent> event =
      ota::Consider(ToPure(rollout->state), ota::Summarise(ProgressOf(devices)));
  if (!event) return Unit{};
  SP_TRY(Fire(*rollout, *event, std::string(ota::RolloutEventName(*event)), now));
  if (*event == ota::RolloutEvent::kAllDone)
    SP_TRY(Fire(*rollout, ota::RolloutEvent::kBaked, "complete", now));
  return rollouts.Update(*rollout);
}

// AddToEnd: the first report of an end says why; the log can be read only in the boot after it.
Result<Unit> AddToEnd(Connection& connection, RolloutDeviceRow row,
                      const DeviceUpdateReport& report) {
  if (!row.log_tail.empty() || report.log_tail.empty()) return Unit{};
  row.log_tail = report.log_tail;
  if (row.gate.empty()) {
    row.gate = report.gate;
    row.detail = report.detail;
  }
  return Rollouts(connection).UpdateDevice(row);
}

JsonValue DeviceJson(Connection& connection, const RolloutDeviceRow& row, size_t& logs_left) {
  const Result<DeviceRecord> device = FindDevice(connection, row.device_id);
  std::vector<JsonMember> members{{"name", device ? device->name : row.device_id},
                                  {"wave", TextOf(row.wave)},
                                  {"assigned", row.assigned},
                                  {"state", TextOf(row.state)},
                                  {"slot", row.slot},
                                  {"percent", row.percent},
                                  {"gate", row.gate},
                                  {"detail", row.detail}};
  if (const auto origins = ParseJson(row.origins)) members.push_back({"origins", *origins});
  if (!row.log_tail.empty() && logs_left > 0) {
    --logs_left;
    members.push_back({"log", row.log_tail});
  }
  return JsonValue::Object(std::move(members));
}

Result<JsonValue> RolloutJson(Connection& connection, const RolloutRow& rollout,
                              bool with_devices) {
  SP_TRY(const std::vector<RolloutDeviceRow> rows, Rollouts(connection).DevicesOf(rollout.name));
  SP_TRY(const std::optional<ReleaseRow> release, FindRelease(connection, rollout.release));
  const ota::RolloutProgress progress = ota::Summarise(ProgressOf(rows));
  std::vector<JsonMember> members{
      {"name", rollout.name},
      {"state", TextOf(rollout.state)},
      {"release", release ? release->product + "/" + release->version : ""},
      {"release_digest", HexEncode(rollout.release)},
      {"why", rollout.why},
      {"total", progress.total},
      {"done", progress.done},
      {"failed", progress.failed},
      {"canaries", progress.canaries},
      {"canary_left", progress.canary_left},
      {"percent", progress.percent},
      {"digest", HexEncode(RolloutDigest(rollout, rows))}};
  if (with_devices) {
    std::vector<JsonValue> devices;
    size_t logs_left = kLogsShown;
    for (const RolloutDeviceRow& row : rows)
      devices.push_back(DeviceJson(connection, row, logs_left));
    members.push_back({"devices", JsonValue::Array(std::move(devices))});
  }
  return JsonValue::Object(std::move(members));
}

Result<RolloutRow> FindRollout(Connection& connection, std::string_view name) {
  SP_TRY(std::optional<RolloutRow> row, Rollouts(connection).Find(name));
  if (!row)
    return Error{Reason::kNotFound, "no rollout '" + std::string(name) + "'", "rollout.unknown"};
  return *std::move(row);
}

// ClosePending closes the values of the rollout's release for who has not committed to it.
Result<Unit> ClosePending(Connection& connection, const std::string& rollout) {
  SP_TRY(const std::vector<RolloutDeviceRow> devices, Rollouts(connection).DevicesOf(rollout));
  for (const RolloutDeviceRow& device : devices)
    if (device.assigned && device.state != UpdateState::kCommitted)
      SP_TRY(References(connection).Withdraw(device.device_id, ReferenceRole::kPending));
  return Unit{};
}

// EndWithdrawn stops one rollout whose release was withdrawn, in whatever state it is.
Result<Unit> EndWithdrawn(Transaction& transaction, RolloutRow row, UnixTime now) {
  constexpr std::string_view kWhy = "its release was withdrawn";
  const ota::RolloutState state = ToPure(row.state);
  const bool running = ota::Next(state, ota::RolloutEvent::kFailing).has_value();
  const bool waiting = !running && state != ota::RolloutState::kHalted &&
                       ota::Next(state, ota::RolloutEvent::kAbort).has_value();
  if (running) SP_TRY(Fire(row, ota::RolloutEvent::kFailing, std::string(kWhy), now));
  if (waiting) SP_TRY(Fire(row, ota::RolloutEvent::kAbort, std::string(kWhy), now));
  if (!running && !waiting) return Unit{};
  SP_TRY(Rollouts(transaction.connection()).Update(row));
  SP_TRY(ClosePending(transaction.connection(), row.name));
  SP_TRY(transaction.Audit("rollout.release-withdrawn",
                           JsonValue::Object({{"rollout", row.name},
                                              {"release", HexEncode(row.release)},
                                              {"state", TextOf(row.state)}})));
  return Unit{};
}

Result<Unit> EndRolloutsOf(Transaction& transaction, const ReleaseDigest& release, UnixTime now) {
  Rollouts rollouts(transaction.connection());
  std::string after;
  while (true) {
    SP_TRY(const std::vector<RolloutRow> page, rollouts.List(after, kRolloutPage));
    if (page.empty()) return Unit{};
    for (const RolloutRow& row : page)
      if (row.release == release) SP_TRY(EndWithdrawn(transaction, row, now));
    after = page.back().name;
  }
}

RolloutDeviceRow Member(const std::string& rollout, const std::string& device_id,
                        RolloutWave wave) {
  RolloutDeviceRow row;
  row.rollout = rollout;
  row.device_id = device_id;
  row.wave = wave;
  return row;
}

// Members resolves the order's lists; canaries first, nobody twice.
// A rollout that no device could install would only collect failures.
Result<Unit> CheckContentKey(Connection& connection, const ReleaseRow& release) {
  SP_TRY(const auto id, ContentKeyOf(release.json));
  if (!id) return Ok();
  SP_TRY(const auto key, FindContentKey(connection, *id));
  if (key) return Ok();
  return Error{Reason::kConflict,
               release.path +
                   " is sealed, and this service has no key: give it with `sallyport "
                   "release publish --content-key FILE`",
               "rollout.content-key"};
}

Result<std::vector<RolloutDeviceRow>> Members(Connection& connection, const RolloutOrder& order) {
  std::vector<RolloutDeviceRow> rows;
  std::set<std::string> seen;
  for (const std::string& name : order.canary) {
    SP_TRY(const DeviceRecord device, FindDevice(connection, name));
    if (!seen.insert(device.id).second)
      return Error{Reason::kInvalidArgument, name + " is listed twice", "rollout.canary"};
    rows.push_back(Member(order.name, device.id, RolloutWave::kCanary));
  }
  if (rows.empty())
    return Error{Reason::kInvalidArgument, "a rollout needs a canary", "rollout.canary"};
  std::vector<DeviceRecord> others;
  for (const std::string& name : order.devices) {
    SP_TRY(DeviceRecord device, FindDevice(connection, name));
    others.push_back(std::move(device));
  }
  if (order.devices.empty()) {
    SP_TRY(others, Devices(connection).List("", kDevicesMax));
    std::erase_if(others,
                  [](const DeviceRecord& device) { return device.state != DeviceState::kActive; });
  }
  for (const DeviceRecord& device : others)
    if (seen.insert(device.id).second)
      rows.push_back(Member(order.name, device.id, RolloutWave::kRest));
  return rows;
}

}  // namespace

Sha256Digest RolloutDigest(const RolloutRow& rollout,
                           const std::vector<RolloutDeviceRow>& devices) {
  ByteWriter writer;
  writer.Sized32(AsBytes(rollout.name)).Raw(rollout.release.view());
  for (const RolloutDeviceRow& device : devices)
    writer.Sized32(AsBytes(TextOf(device.wave))).Sized32(AsBytes(device.device_id));
  return pki::LabelledDigest("sallyport/rollout/v1", {writer.bytes()});
}

Result<Unit> RecordRelease(Transaction& transaction, const std::string& path, ByteView release_json,
                           UnixTime now) {
  SP_TRY(const ota::Release release, ota::ParseRelease(release_json));
  const ReleaseDigest digest = ReleaseDigest::FromArray(pki::Sha256(release_json).array());
  SP_TRY(const std::optional<ReleaseRow> known, FindRelease(transaction.connection(), digest));
  if (known) return Unit{};
  SP_TRY(PutRelease(transaction.connection(), {digest, release.product, release.version.text(),
                                               path, ToString(release_json), now}));
  for (Expectation& expectation : ExpectationsOfRelease(release)) {
    ReferenceFile file{std::string(kAnyClass), pki::HashAlgorithm::kSha256, std::move(expectation)};
    const std::string json = WriteReferenceFile(file);
    const Result<Unit> inserted = References(transaction.connection())
                                      .Insert({pki::Sha256(AsBytes(json)), std::string(kAnyClass),
                                               ReferenceState::kCandidate, json, digest, now});
    if (!inserted && inserted.error().reason != Reason::kAlreadyExists) return inserted.error();
  }
  SP_TRY(transaction.Audit("release.published",
                           JsonValue::Object({{"path", path}, {"digest", HexEncode(digest)}})));
  return Unit{};
}

Result<Unit> RecordWithdrawals(Transaction& transaction, const std::set<std::string>& published,
                               UnixTime now) {
  SP_TRY(const std::vector<ReleaseRow> releases, ListReleases(transaction.connection()));
  for (const ReleaseRow& release : releases) {
    const bool withdrawn = !published.contains(release.path);
    if (withdrawn == release.withdrawn) continue;
    SP_TRY(SetWithdrawn(transaction.connection(), release.digest, withdrawn));
    SP_TRY(transaction.Audit(
        withdrawn ? "release.withdrawn" : "release.reinstated",
        JsonValue::Object({{"path", release.path}, {"digest", HexEncode(release.digest)}})));
    if (withdrawn) SP_TRY(EndRolloutsOf(transaction, release.digest, now));
  }
  return Unit{};
}

Result<JsonValue> RolloutOperations::Create(const Operator& caller, const RolloutOrder& order) {
  const UnixTime now = clock_.Wall();
  JsonValue shown;
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    Connection& connection = transaction.connection();
    SP_TRY(const std::optional<ReleaseRow> release,
           FindReleaseByPath(connection, order.release_path));
    if (!release)
      return Error{Reason::kNotFound, order.release_path + " is not published here",
                   "rollout.release"};
    if (release->withdrawn)
      return Error{Reason::kPolicyDenied, order.release_path + " was withdrawn",
                   "rollout.release-withdrawn"};
    SP_TRY(CheckContentKey(connection, *release));
    SP_TRY(const std::vector<RolloutDeviceRow> devices, Members(connection, order));
    RolloutRow row;
    row.name = order.name;
    row.release = release->digest;
    row.created_by = caller.id;
    row.created_at = now;
    SP_TRY(Fire(row, ota::RolloutEvent::kPublished, "drafted", now));
    SP_TRY(Rollouts(connection).Insert(row, devices));
    SP_TRY(
        transaction.Audit("rollout.created", JsonValue::Object({{"rollout", row.name},
                                                                {"release", HexEncode(row.release)},
                                                                {"operator", caller.id},
                                                                {"devices", devices.size()}})));
    SP_TRY(shown, RolloutJson(connection, row, true));
    return Unit{};
  }));
  return shown;
}

Result<JsonValue> RolloutOperations::Change(const Operator& caller, std::string_view name,
                                            std::string_view event, const Changer& change) {
  JsonValue shown;
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    Connection& connection = transaction.connection();
    SP_TRY(RolloutRow row, FindRollout(connection, name));
    SP_TRY(change(row, transaction));
    SP_TRY(Rollouts(connection).Update(row));
    SP_TRY(transaction.Audit(event, JsonValue::Object({{"rollout", row.name},
                                                       {"operator", caller.id},
                                                       {"state", TextOf(row.state)}})));
    SP_TRY(shown, RolloutJson(connection, row, true));
    return Unit{};
  }));
  changed_();
  return shown;
}

Result<JsonValue> RolloutOperations::Approve(const Operator& caller, std::string_view name,
                                             const std::vector<SignedApproval>& approvals) {
  const UnixTime now = clock_.Wall();
  return Change(
      caller, name, "rollout.approved",
      [&](RolloutRow& row, Transaction& transaction) -> Result<Unit> {
        SP_TRY(const std::vector<RolloutDeviceRow> devices,
               Rollouts(transaction.connection()).DevicesOf(row.name));
        SP_TRY(const ApprovalRow approval,
               ApprovalOf(caller, approvals, "rollout.approve", RolloutDigest(row, devices), now));
        SP_TRY(Fire(row, ota::RolloutEvent::kApproved, "approved by " + caller.id, now));
        SP_TRY(RecordAndCount(transaction, approval, now));
        SP_TRY(Fire(row, ota::RolloutEvent::kDue, "no window: due at once", now));
        SP_TRY(Fire(row, ota::RolloutEvent::kDue, "canaries assigned", now));
        return AssignWave(transaction, row, RolloutWave::kCanary);
      });
}

Result<JsonValue> RolloutOperations::Advance(const Operator& caller, std::string_view name) {
  const UnixTime now = clock_.Wall();
  return Change(caller, name, "rollout.advanced",
                [&](RolloutRow& row, Transaction& transaction) -> Result<Unit> {
                  SP_TRY(const std::vector<RolloutDeviceRow> devices,
                         Rollouts(transaction.connection()).DevicesOf(row.name));
                  const ota::RolloutProgress progress = ota::Summarise(ProgressOf(devices));
                  if (progress.canary_left > 0 || progress.canary_failed > 0)
                    return Error{Reason::kConflict, "not every canary has committed",
                                 "rollout.canaries"};
                  SP_TRY(Fire(row, ota::RolloutEvent::kAdvanced, "advanced by " + caller.id, now));
                  SP_TRY(AssignWave(transaction, row, RolloutWave::kRest));
                  if (progress.done != progress.total) return Unit{};
                  SP_TRY(Fire(row, ota::RolloutEvent::kAllDone, "every device has committed", now));
                  return Fire(row, ota::RolloutEvent::kBaked, "complete", now);
                });
}

Result<JsonValue> RolloutOperations::Pause(const Operator& caller, std::string_view name) {
  return Change(caller, name, "rollout.paused", [&](RolloutRow& row, Transaction&) {
    return Fire(row, ota::RolloutEvent::kPause, "paused by " + caller.id, clock_.Wall());
  });
}

Result<JsonValue> RolloutOperations::Resume(const Operator& caller, std::string_view name) {
  return Change(caller, name, "rollout.resumed", [&](RolloutRow& row, Transaction&) {
    return Fire(row, ota::RolloutEvent::kResume, "resumed by " + caller.id, clock_.Wall());
  });
}

Result<JsonValue> RolloutOperations::Abort(const Operator& caller, std::string_view name) {
  return Change(
      caller, name, "rollout.aborted",
      [&](RolloutRow& row, Transaction& transaction) -> Result<Unit> {
        SP_TRY(Fire(row, ota::RolloutEvent::kAbort, "aborted by " + caller.id, clock_.Wall()));
        return ClosePending(transaction.connection(), row.name);
      });
}

Result<JsonValue> RolloutOperations::Show(std::string_view name) {
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  SP_TRY(const RolloutRow row, FindRollout(snapshot.connection(), name));
  return RolloutJson(snapshot.connection(), row, true);
}

Result<JsonValue> RolloutOperations::List(std::string_view after, int64_t limit) {
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  SP_TRY(const std::vector<RolloutRow> rows, Rollouts(snapshot.connection()).List(after, limit));
  std::vector<JsonValue> out;
  for (const RolloutRow& row : rows) {
    SP_TRY(JsonValue json, RolloutJson(snapshot.connection(), row, false));
    out.push_back(std::move(json));
  }
  return JsonValue::Array(std::move(out));
}

DeviceUpdateReport Cleaned(DeviceUpdateReport report) {
  constexpr uint32_t kPercentMax = 100;
  const auto line = [](std::string& text, size_t size_max) {
    text = PrintableLine(std::string_view(text).substr(0, size_max));
  };
  line(report.slot, kReportWordMax);
  line(report.gate, kReportWordMax);
  line(report.detail, kReportDetailMax);
  report.log_tail = PrintableText(TailOf(report.log_tail, kReportLogMax));
  report.percent = std::min(report.percent, kPercentMax);
  for (const ota::Origin origin : ota::kOrigins) {
    ota::OriginCount& count = report.origins[origin];
    count.segments = std::min(count.segments, kReportCountMax);
    count.bytes = std::min(count.bytes, kReportCountMax);
  }
  return report;
}

void RolloutOperations::OnReport(const DeviceUpdateReport& said) {
  const DeviceUpdateReport report = Cleaned(said);
  const UnixTime now = clock_.Wall();
  const Result<Unit> done =
      parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
        SP_TRY(std::optional<RolloutDeviceRow> row,
               FindAssignment(transaction.connection(), report.device_id));
        if (!row) return Unit{};
        SP_TRY(const RolloutRow rollout, FindRollout(transaction.connection(), row->rollout));
        if (report.release != rollout.release) return Unit{};
        SP_TRY(const UpdateState state, ParseWord<UpdateState>(report.state));
        if (HasFailed(*row) && state == row->state)
          return AddToEnd(transaction.connection(), *row, report);
        row->state = state;
        row->percent = report.percent;
        row->slot = report.slot;
        row->gate = report.gate;
        row->detail = report.detail;
        row->log_tail = report.log_tail;
        if (!report.origins.empty()) row->origins = WriteJson(ota::OriginsJson(report.origins));
        row->reported_at = now;
        SP_TRY(Rollouts(transaction.connection()).UpdateDevice(*row));
        SP_TRY(SettleDevice(transaction, *row));
        return SettleRollout(transaction.connection(), row->rollout, now);
      });
  if (done) return changed_();
  Log(LogLevel::kWarning, "update_report_dropped",
      {{"device", report.device_id}, {"reason", done.error().ToString()}});
}

}  // namespace sallyport::server
