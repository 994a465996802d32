#include "attestation-server/store/references.h"

#include <algorithm>

#include "attestation-server/store/limits.h"
#include "attestation-server/store/meta.h"

namespace sallyport::server {

namespace {

Result<std::vector<ReferenceRow>> ReadRows(Result<std::vector<Row>> found) {
  SP_TRY(const std::vector<Row> rows, std::move(found));
  std::vector<ReferenceRow> out;
  for (const Row& row : rows) {
    ReferenceRow reference;
    SP_TRY(reference.id, row.FixedAt<Sha256Digest>(0));
    reference.device_class = row.Text(1);
    SP_TRY(reference.state, ParseWord<ReferenceState>(row.Text(2)));
    reference.json = row.Text(3);
    SP_TRY(reference.release, row.OptionalAt<ReleaseDigest>(4));
    reference.created_at = row.Time(5);
    out.push_back(std::move(reference));
  }
  return out;
}

#define SP_REFERENCE_SELECT "SELECT id, device_class, state, json, release_digest, created_at FROM reference_sets "
constexpr std::string_view kReferenceKinds = "ttttti";

}  // namespace

Result<Unit> References::Insert(const ReferenceRow& row) {
  SP_TRY(connection_.Execute("INSERT INTO reference_sets (id, device_class, state, json, release_digest, created_at) "
                             "VALUES (:id, :class, :state, :json, :release, :created_at)",
                             {row.id, row.device_class, TextOf(row.state), row.json, row.release, row.created_at}));
  SP_TRY(RaiseCounter(connection_, Counter::kReferenceEpoch));
  return Unit{};
}

Result<Unit> References::SetState(const Sha256Digest& id, ReferenceState state) {
  SP_TRY(const int64_t changed, connection_.Execute("UPDATE reference_sets SET state = :state WHERE id = :id",
                                                    {TextOf(state), id}));
  if (changed != 1) return Error{Reason::kNotFound, "no such reference set", "reference.unknown"};
  SP_TRY(RaiseCounter(connection_, Counter::kReferenceEpoch));
  return Unit{};
}

Result<Unit> References::Assign(std::string_view device_id, ReferenceRole role, const Sha256Digest& id) {
  SP_TRY(connection_.Execute("INSERT INTO device_reference_sets (device_id, role, reference_id) "
                             "VALUES (:device, :role, :reference) ON CONFLICT DO NOTHING",
                             {device_id, TextOf(role), id}));
  SP_TRY(RaiseCounter(connection_, Counter::kReferenceEpoch));
  return Unit{};
}

Result<Unit> References::Withdraw(std::string_view device_id, ReferenceRole role) {
  SP_TRY(connection_.Execute("DELETE FROM device_reference_sets WHERE device_id = :device AND role = :role",
                             {device_id, TextOf(role)}));
  SP_TRY(RaiseCounter(connection_, Counter::kReferenceEpoch));
  return Unit{};
}

Result<std::vector<ReferenceRow>> References::List(std::string_view device_class, int64_t limit) {
  return ReadRows(connection_.Query(
      SP_REFERENCE_SELECT "WHERE device_class = :class ORDER BY created_at, id LIMIT :limit", kReferenceKinds,
      {device_class, std::min(limit, kListMax)}));
}

Result<std::vector<ReferenceRow>> References::ForDevice(std::string_view device_id, std::string_view device_class) {
  return ReadRows(connection_.Query(
      SP_REFERENCE_SELECT
      "WHERE (device_class = :class AND state IN ('active', 'retiring') AND release_digest IS NULL) "
      "OR (state <> 'retired' AND id IN (SELECT reference_id FROM device_reference_sets WHERE device_id = :device)) "
      "ORDER BY created_at, id",
      kReferenceKinds, {device_class, device_id}));
}

Result<std::vector<Sha256Digest>> DeviceReferences(Connection& connection, std::string_view device_id,
                                                   ReferenceRole role) {
  SP_TRY(const auto rows,
         connection.Query("SELECT reference_id FROM device_reference_sets WHERE device_id = :device AND role = :role "
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
