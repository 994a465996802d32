#include "attestation-server/store/rollouts.h"

#include <algorithm>

#include "attestation-server/store/limits.h"

namespace sallyport::server {

namespace {

#define SP_RELEASE_SELECT \
  "SELECT digest, product, version, path, json, created_at, withdrawn FROM releases "
constexpr std::string_view kReleaseKinds = "tttttii";

Result<ReleaseRow> ReadRelease(const Row& row) {
  SP_TRY(const auto digest, row.FixedAt<ReleaseDigest>(0));
  return ReleaseRow{digest,      row.Text(1), row.Text(2),        row.Text(3),
                    row.Text(4), row.Time(5), row.Integer(6) != 0};
}

Result<std::optional<ReleaseRow>> OneRelease(Result<std::optional<Row>> found) {
  SP_TRY(const std::optional<Row> row, std::move(found));
  if (!row.has_value()) return std::optional<ReleaseRow>();
  SP_TRY(ReleaseRow release, ReadRelease(*row));
  return std::optional<ReleaseRow>(std::move(release));
}

#define SP_ROLLOUT_SELECT                                                                       \
  "SELECT name, release_digest, state, resume_state, why, created_by, created_at, changed_at, " \
  "revision FROM rollouts "
constexpr std::string_view kRolloutKinds = "ttttttiii";

Result<RolloutRow> ReadRollout(const Row& row) {
  RolloutRow rollout;
  rollout.name = row.Text(0);
  SP_TRY(rollout.release, row.FixedAt<ReleaseDigest>(1));
  SP_TRY(rollout.state, ParseWord<RolloutState>(row.Text(2)));
  SP_TRY(rollout.resume_state, ParseWord<RolloutState>(row.Text(3)));
  rollout.why = row.Text(4);
  rollout.created_by = row.Text(5);
  rollout.created_at = row.Time(6);
  rollout.changed_at = row.Time(7);
  rollout.revision = static_cast<uint64_t>(row.Integer(8));
  return rollout;
}

#define SP_ROLLOUT_DEVICE_COLUMNS                                                           \
  "rollout, device_id, wave, assigned, d.state, slot, gate, detail, percent, reported_at, " \
  "log_tail, origins"
constexpr std::string_view kRolloutDeviceKinds = "tttittttiitt";

Result<RolloutDeviceRow> ReadRolloutDevice(const Row& row) {
  RolloutDeviceRow device;
  device.rollout = row.Text(0);
  device.device_id = row.Text(1);
  SP_TRY(device.wave, ParseWord<RolloutWave>(row.Text(2)));
  device.assigned = row.Integer(3) != 0;
  SP_TRY(device.state, ParseWord<UpdateState>(row.Text(4)));
  device.slot = row.Text(5);
  device.gate = row.Text(6);
  device.detail = row.Text(7);
  device.percent = static_cast<uint32_t>(row.Integer(8));
  device.reported_at = row.Time(9);
  device.log_tail = row.Text(10);
  device.origins = row.Text(11);
  return device;
}

Result<Unit> InsertDevice(Connection& connection, const RolloutDeviceRow& d) {
  SP_TRY(connection.Execute(
      "INSERT INTO rollout_devices (rollout, device_id, wave, assigned, state, "
      "slot, gate, detail, percent, "
      "reported_at, log_tail, origins) VALUES (:rollout, :device, :wave, :assigned, "
      ":state, :slot, :gate, :detail, :percent, :reported, :log, :origins)",
      {d.rollout, d.device_id, TextOf(d.wave), d.assigned ? 1 : 0, TextOf(d.state), d.slot, d.gate,
       d.detail, d.percent, d.reported_at, d.log_tail, d.origins}));
  return Unit{};
}

}  // namespace

Result<Unit> PutRelease(Connection& connection, const ReleaseRow& row) {
  SP_TRY(connection.Execute(
      "INSERT INTO releases (digest, product, version, path, json, created_at) "
      "VALUES (:digest, :product, :version, :path, :json, :created_at) "
      "ON CONFLICT (digest) DO NOTHING",
      {row.digest, row.product, row.version, row.path, row.json, row.created_at}));
  return Unit{};
}

Result<std::optional<ReleaseRow>> FindRelease(Connection& connection, const ReleaseDigest& digest) {
  return OneRelease(
      connection.QueryOne(SP_RELEASE_SELECT "WHERE digest = :digest", kReleaseKinds, {digest}));
}

Result<std::optional<ReleaseRow>> FindReleaseByPath(Connection& connection, std::string_view path) {
  return OneRelease(
      connection.QueryOne(SP_RELEASE_SELECT "WHERE path = :path", kReleaseKinds, {path}));
}

Result<std::vector<ReleaseRow>> ListReleases(Connection& connection) {
  SP_TRY(const std::vector<Row> rows,
         connection.Query(SP_RELEASE_SELECT "ORDER BY path", kReleaseKinds, {}));
  std::vector<ReleaseRow> out;
  for (const Row& row : rows) {
    SP_TRY(ReleaseRow release, ReadRelease(row));
    out.push_back(std::move(release));
  }
  return out;
}

Result<Unit> SetWithdrawn(Connection& connection, const ReleaseDigest& digest, bool withdrawn) {
  SP_TRY(connection.Execute("UPDATE releases SET withdrawn = :withdrawn WHERE digest = :digest",
                            {withdrawn ? 1 : 0, digest}));
  return Unit{};
}

Result<std::vector<RunningRelease>> CountRunning(Connection& connection, int64_t limit) {
  SP_TRY(const std::vector<Row> rows,
         connection.Query("SELECT r.product, r.version, COUNT(*) AS running FROM devices d JOIN "
                          "releases r ON r.digest = d.running_release WHERE d.state = 'active' "
                          "GROUP BY r.digest ORDER BY running DESC, r.path LIMIT :limit",
                          "tti", {limit}));
  std::vector<RunningRelease> out;
  for (const Row& row : rows) out.push_back({row.Text(0), row.Text(1), row.Integer(2)});
  return out;
}

Result<Unit> Rollouts::Insert(const RolloutRow& row, const std::vector<RolloutDeviceRow>& devices) {
  SP_TRY(connection_.Execute(
      "INSERT INTO rollouts (name, release_digest, state, resume_state, why, created_by, "
      "created_at, changed_at, revision) VALUES (:name, :release, :state, :resume, :why, "
      ":created_by, :created_at, :changed_at, :revision)",
      {row.name, row.release, TextOf(row.state), TextOf(row.resume_state), row.why, row.created_by,
       row.created_at, row.changed_at, row.revision}));
  for (const RolloutDeviceRow& device : devices) SP_TRY(InsertDevice(connection_, device));
  return Unit{};
}

Result<Unit> Rollouts::Update(const RolloutRow& row) {
  SP_TRY(
      const int64_t changed,
      connection_.Execute("UPDATE rollouts SET state = :state, resume_state = :resume, why = :why, "
                          "changed_at = :changed_at, revision = revision + 1 "
                          "WHERE name = :name AND revision = :revision",
                          {TextOf(row.state), TextOf(row.resume_state), row.why, row.changed_at,
                           row.name, row.revision}));
  if (changed != 1)
    return Error{Reason::kConflict, "the rollout changed meanwhile", "rollout.changed"};
  return Unit{};
}

Result<Unit> Rollouts::UpdateDevice(const RolloutDeviceRow& d) {
  SP_TRY(const int64_t changed,
         connection_.Execute(
             "UPDATE rollout_devices SET wave = :wave, assigned = :assigned, state = :state, "
             "slot = :slot, gate = :gate, detail = :detail, percent = :percent, "
             "reported_at = :reported, log_tail = :log, origins = :origins WHERE rollout = "
             ":rollout AND device_id = "
             ":device",
             {TextOf(d.wave), d.assigned ? 1 : 0, TextOf(d.state), d.slot, d.gate, d.detail,
              d.percent, d.reported_at, d.log_tail, d.origins, d.rollout, d.device_id}));
  if (changed != 1)
    return Error{Reason::kNotFound, "device is not in the rollout", "rollout.device"};
  return Unit{};
}

Result<std::optional<RolloutRow>> Rollouts::Find(std::string_view name) {
  SP_TRY(const auto row,
         connection_.QueryOne(SP_ROLLOUT_SELECT "WHERE name = :name", kRolloutKinds, {name}));
  if (!row.has_value()) return std::optional<RolloutRow>();
  SP_TRY(RolloutRow rollout, ReadRollout(*row));
  return std::optional<RolloutRow>(std::move(rollout));
}

Result<std::vector<RolloutRow>> Rollouts::List(std::string_view after, int64_t limit) {
  SP_TRY(const auto rows,
         connection_.Query(SP_ROLLOUT_SELECT "WHERE name > :after ORDER BY name LIMIT :limit",
                           kRolloutKinds, {after, std::min(limit, kListMax)}));
  std::vector<RolloutRow> out;
  for (const Row& row : rows) {
    SP_TRY(RolloutRow rollout, ReadRollout(row));
    out.push_back(std::move(rollout));
  }
  return out;
}

Result<std::vector<RolloutDeviceRow>> Rollouts::DevicesOf(std::string_view name) {
  SP_TRY(const auto rows, connection_.Query("SELECT " SP_ROLLOUT_DEVICE_COLUMNS
                                            " FROM rollout_devices d WHERE rollout = :rollout "
                                            "ORDER BY wave, device_id",
                                            kRolloutDeviceKinds, {name}));
  std::vector<RolloutDeviceRow> out;
  for (const Row& row : rows) {
    SP_TRY(RolloutDeviceRow device, ReadRolloutDevice(row));
    out.push_back(std::move(device));
  }
  return out;
}

bool HasFailed(const RolloutDeviceRow& device) {
  return device.state == UpdateState::kFailed || device.state == UpdateState::kRolledBack ||
         device.state == UpdateState::kDegraded;
}

Result<std::optional<RolloutDeviceRow>> FindAssignment(Connection& connection,
                                                       std::string_view device_id) {
  SP_TRY(
      const auto row,
      connection.QueryOne(
          "SELECT " SP_ROLLOUT_DEVICE_COLUMNS " FROM rollout_devices d "
          "JOIN rollouts r ON r.name = d.rollout "
          "WHERE device_id = :device AND assigned = 1 AND r.state NOT IN ('aborted', 'reverting') "
          "ORDER BY r.created_at DESC, r.name DESC LIMIT 1",
          kRolloutDeviceKinds, {device_id}));
  if (!row.has_value()) return std::optional<RolloutDeviceRow>();
  SP_TRY(RolloutDeviceRow device, ReadRolloutDevice(*row));
  return std::optional<RolloutDeviceRow>(std::move(device));
}

Result<int64_t> CountDegraded(Connection& connection) {
  SP_TRY(
      const auto row,
      connection.QueryOne("SELECT COUNT(DISTINCT d.device_id) FROM rollout_devices d "
                          "JOIN rollouts r ON r.name = d.rollout "
                          "WHERE d.state = 'DEGRADED' AND r.state NOT IN ('aborted', 'reverting') "
                          "AND NOT EXISTS (SELECT 1 FROM rollout_devices n "
                          "JOIN rollouts m ON m.name = n.rollout WHERE n.device_id = d.device_id "
                          "AND m.created_at > r.created_at AND n.state NOT IN ('IDLE', 'PLANNED'))",
                          "i"));
  if (!row.has_value()) return Error{Reason::kInternal, "no count"};
  return row->Integer(0);
}

Result<std::optional<AssignedRow>> FindAssignedRelease(Connection& connection,
                                                       std::string_view device_id) {
  SP_TRY(const std::optional<RolloutDeviceRow> assignment, FindAssignment(connection, device_id));
  if (!assignment || HasFailed(*assignment)) return std::optional<AssignedRow>();
  SP_TRY(const std::optional<RolloutRow> rollout, Rollouts(connection).Find(assignment->rollout));
  if (!rollout) return std::optional<AssignedRow>();
  SP_TRY(std::optional<ReleaseRow> release, FindRelease(connection, rollout->release));
  if (!release || release->withdrawn) return std::optional<AssignedRow>();
  return std::optional(AssignedRow{*std::move(release), rollout->name});
}

}  // namespace sallyport::server
