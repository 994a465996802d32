#include "attestation-server/store/references.h"

#include <algorithm>

#include "attestation-server/store/limits.h"
#include "attestation-server/store/meta.h"

namespace sallyport::server {

namespace {

Result<ReferenceRow> ReadReference(const Row& row) {
  ReferenceRow reference;
  SP_TRY(reference.id, row.FixedAt<Sha256Digest>(0));
  reference.device_class = row.Text(1);
  SP_TRY(reference.state, ParseWord<ReferenceState>(row.Text(2)));
  reference.json = row.Text(3);
  SP_TRY(reference.release, row.OptionalAt<ReleaseDigest>(4));
  reference.created_at = row.Time(5);
  return reference;
}

// ReadWhole also reads what only operators ask for.
Result<ReferenceRow> ReadWhole(const Row& row) {
  SP_TRY(ReferenceRow reference, ReadReference(row));
  SP_TRY(reference.scope, ParseWord<ReferenceScope>(row.Text(6)));
  if (!row.IsNull(7)) reference.retire_at = row.Time(7);
  return reference;
}

Result<std::vector<ReferenceRow>> ReadReferences(const std::vector<Row>& rows) {
  std::vector<ReferenceRow> out;
  for (const Row& row : rows) {
    SP_TRY(ReferenceRow reference, ReadWhole(row));
    out.push_back(std::move(reference));
  }
  return out;
}

}  // namespace

Result<Unit> References::InsertUnjudged(const ReferenceRow& row) {
  SP_TRY(connection_.Execute(
      "INSERT INTO reference_sets (id, device_class, state, json, release_digest, created_at, "
      "scope) VALUES (:id, :class, :state, :json, :release, :created_at, :scope)",
      {row.id, row.device_class, TextOf(row.state), row.json, row.release, row.created_at,
       TextOf(row.scope)}));
  return Unit{};
}

Result<Unit> References::Insert(const ReferenceRow& row) {
  SP_TRY(InsertUnjudged(row));
  SP_TRY(RaiseCounter(connection_, Counter::kReferenceEpoch));
  return Unit{};
}

Result<Unit> References::SetState(const Sha256Digest& id, ReferenceState state,
                                  std::optional<UnixTime> retire_at) {
  SP_TRY(const int64_t changed,
         connection_.Execute(
             "UPDATE reference_sets SET state = :state, retire_at = :retire_at WHERE id = :id",
             {TextOf(state), retire_at, id}));
  if (changed != 1) return Error{Reason::kNotFound, "no such reference set", "reference.unknown"};
  SP_TRY(RaiseCounter(connection_, Counter::kReferenceEpoch));
  return Unit{};
}

Result<std::vector<ReferenceRow>> References::RetiringUntil(UnixTime now) {
  SP_TRY(const auto rows,
         connection_.Query("SELECT id, device_class, state, json, release_digest, created_at, "
                           "scope, retire_at FROM reference_sets WHERE state = 'retiring' AND "
                           "retire_at <= :now ORDER BY created_at, id LIMIT :limit",
                           "tttttiti", {now, kListMax}));
  return ReadReferences(rows);
}

Result<Unit> References::Assign(std::string_view device_id, ReferenceRole role,
                                const Sha256Digest& id) {
  SP_TRY(
      connection_.Execute("INSERT INTO device_reference_sets (device_id, role, reference_id) "
                          "VALUES (:device, :role, :reference) ON CONFLICT DO NOTHING",
                          {device_id, TextOf(role), id}));
  SP_TRY(RaiseCounter(connection_, Counter::kReferenceEpoch));
  return Unit{};
}

Result<Unit> References::Withdraw(std::string_view device_id, ReferenceRole role) {
  SP_TRY(connection_.Execute(
      "DELETE FROM device_reference_sets WHERE device_id = :device AND role = :role",
      {device_id, TextOf(role)}));
  SP_TRY(RaiseCounter(connection_, Counter::kReferenceEpoch));
  return Unit{};
}

Result<std::optional<ReferenceRow>> References::Find(const Sha256Digest& id) {
  SP_TRY(const auto row,
         connection_.QueryOne("SELECT id, device_class, state, json, release_digest, created_at, "
                              "scope, retire_at FROM reference_sets WHERE id = :id",
                              "tttttiti", {id}));
  if (!row) return std::optional<ReferenceRow>();
  SP_TRY(ReferenceRow reference, ReadWhole(*row));
  return std::optional(std::move(reference));
}

Result<std::vector<ReferenceRow>> References::List(std::string_view device_class, int64_t limit) {
  SP_TRY(const auto rows,
         connection_.Query(
             "SELECT id, device_class, state, json, release_digest, created_at, scope, retire_at "
             "FROM reference_sets WHERE device_class = :class ORDER BY created_at, id LIMIT :limit",
             "tttttiti", {device_class, std::min(limit, kListMax)}));
  return ReadReferences(rows);
}

Result<std::vector<ReferenceRow>> References::InForce(std::string_view device_class) {
  SP_TRY(const auto rows,
         connection_.Query(
             "SELECT id, device_class, state, json, release_digest, created_at, scope, retire_at "
             "FROM reference_sets WHERE device_class = :class AND state IN ('active', 'retiring') "
             "ORDER BY created_at, id",
             "tttttiti", {device_class}));
  return ReadReferences(rows);
}

Result<std::vector<ReferenceRow>> References::ListAll(int64_t limit) {
  SP_TRY(const auto rows,
         connection_.Query(
             "SELECT id, device_class, state, json, release_digest, created_at, scope, retire_at "
             "FROM reference_sets ORDER BY created_at, id LIMIT :limit",
             "tttttiti", {std::min(limit, kListMax)}));
  return ReadReferences(rows);
}

Result<std::vector<JudgedReference>> References::ForDevice(std::string_view device_id,
                                                           std::string_view device_class) {
  SP_TRY(const auto rows,
         connection_.Query(
             "SELECT id, device_class, state, json, release_digest, created_at, NULL AS role FROM "
             "reference_sets "
             "WHERE device_class = :class AND state IN ('active', 'retiring') AND release_digest "
             "IS NULL AND scope = 'class' "
             "UNION ALL SELECT r.id, r.device_class, r.state, r.json, r.release_digest, "
             "r.created_at, d.role "
             "FROM device_reference_sets d JOIN reference_sets r ON r.id = d.reference_id "
             "WHERE d.device_id = :device AND r.state IN ('candidate', 'active', 'retiring') ORDER "
             "BY 6, 1",
             "tttttit", {device_class, device_id}));
  std::vector<JudgedReference> out;
  for (const Row& row : rows) {
    SP_TRY(ReferenceRow reference, ReadReference(row));
    JudgedReference judged{std::move(reference), std::nullopt};
    if (!row.IsNull(6)) {
      SP_TRY(judged.role, ParseWord<ReferenceRole>(row.Text(6)));
    }
    out.push_back(std::move(judged));
  }
  return out;
}

Result<std::vector<Sha256Digest>> DeviceReferences(Connection& connection,
                                                   std::string_view device_id, ReferenceRole role) {
  SP_TRY(const auto rows, connection.Query("SELECT reference_id FROM device_reference_sets WHERE "
                                           "device_id = :device AND role = :role "
                                           "ORDER BY reference_id",
                                           "t", {device_id, TextOf(role)}));
  std::vector<Sha256Digest> out;
  for (const Row& row : rows) {
    SP_TRY(const auto id, row.FixedAt<Sha256Digest>(0));
    out.push_back(id);
  }
  return out;
}

}  // namespace sallyport::server
