#include "attestation-server/store/learning.h"

#include <set>

#include "attestation-server/store/limits.h"

namespace sallyport::server {

Result<Unit> RecordObserved(Connection& connection, std::string_view device_id,
                            const Observed& what, UnixTime now) {
  SP_TRY(connection.Execute(
      "INSERT INTO observed_digests (pcr, digest, device_id, first_seen, last_seen) VALUES (:pcr, "
      ":digest, :device, :now, :last) ON CONFLICT (pcr, digest, device_id) DO UPDATE SET last_seen "
      "= excluded.last_seen",
      {what.pcr, what.digest, device_id, now, now}));
  return Unit{};
}

Result<Others> CountOthers(Connection& connection, std::string_view device_id,
                           const Observed& what) {
  SP_TRY(const auto row,
         connection.QueryOne(
             "SELECT COALESCE(SUM(CASE WHEN o.device_id <> :self THEN 1 ELSE 0 END), 0), "
             "COALESCE(SUM(CASE WHEN o.device_id <> :me AND d.posture = 'failing' THEN 1 ELSE 0 "
             "END), 0), COALESCE(MIN(o.first_seen), 0) FROM observed_digests o JOIN devices d ON "
             "d.id = o.device_id WHERE o.pcr = :pcr AND o.digest = :digest",
             "iii", {device_id, device_id, what.pcr, what.digest}));
  if (!row) return Others{};
  return Others{row->Integer(0), row->Integer(1), row->Time(2)};
}

Result<std::vector<std::string>> FailingWith(Connection& connection, std::string_view device_class,
                                             const std::vector<Observed>& what) {
  std::optional<std::set<std::string>> all;
  for (const Observed& each : what) {
    SP_TRY(const auto rows,
           connection.Query("SELECT o.device_id FROM observed_digests o JOIN devices d ON d.id = "
                            "o.device_id WHERE o.pcr = :pcr AND o.digest = :digest AND "
                            "d.device_class = :class AND d.posture = 'failing' LIMIT :limit",
                            "t", {each.pcr, each.digest, device_class, kListMax}));
    std::set<std::string> these;
    for (const Row& row : rows)
      if (!all || all->contains(row.Text(0))) these.insert(row.Text(0));
    all = std::move(these);
  }
  if (!all) return std::vector<std::string>();
  return std::vector<std::string>(all->begin(), all->end());
}

Result<Unit> OpenWindow(Connection& connection, const LearningWindow& window) {
  SP_TRY(connection.Execute(
      "INSERT INTO learning_windows (device_class, opened_by, opened_at, closes_at) VALUES "
      "(:class, :by, :at, :closes) ON CONFLICT (device_class) DO UPDATE SET opened_by = "
      "excluded.opened_by, opened_at = excluded.opened_at, closes_at = excluded.closes_at",
      {window.device_class, window.opened_by, window.opened_at, window.closes_at}));
  return Unit{};
}

Result<Unit> CloseWindow(Connection& connection, std::string_view device_class) {
  SP_TRY(connection.Execute("DELETE FROM learning_windows WHERE device_class = :class",
                            {device_class}));
  return Unit{};
}

Result<std::optional<LearningWindow>> FindWindow(Connection& connection,
                                                 std::string_view device_class) {
  SP_TRY(const auto row, connection.QueryOne("SELECT opened_by, opened_at, closes_at FROM "
                                             "learning_windows WHERE device_class = :class",
                                             "tii", {device_class}));
  if (!row) return std::optional<LearningWindow>();
  return std::optional(
      LearningWindow{std::string(device_class), row->Text(0), row->Time(1), row->Time(2)});
}

Result<Flag> Capture(Connection& connection, const ReferenceRow& row, std::string_view device_id) {
  References references(connection);
  SP_TRY(const std::optional<ReferenceRow> known, references.Find(row.id));
  if (known && known->state != ReferenceState::kLearning) return Flag{false};
  if (!known) {
    SP_TRY(const auto count,
           connection.QueryOne("SELECT COUNT(*) FROM reference_sets WHERE device_class = :class "
                               "AND state = 'learning'",
                               "i", {row.device_class}));
    if (count && count->Integer(0) >= kLearnedSetsMax)
      return Error{Reason::kTooLarge, "the class has shown too many different boots",
                   "learning.full"};
    SP_TRY(references.InsertUnjudged(row));
  }
  SP_TRY(const int64_t inserted,
         connection.Execute("INSERT INTO learned_sets (reference_id, device_id, learned_at) VALUES "
                            "(:id, :device, :at) ON CONFLICT DO NOTHING",
                            {row.id, device_id, row.created_at}));
  return Flag{inserted == 1};
}

Result<std::vector<std::string>> LearnedFrom(Connection& connection, const Sha256Digest& id) {
  SP_TRY(const auto rows,
         connection.Query("SELECT device_id FROM learned_sets WHERE reference_id = :id ORDER BY "
                          "device_id LIMIT :limit",
                          "t", {id, kListMax}));
  std::vector<std::string> out;
  for (const Row& row : rows) out.push_back(row.Text(0));
  return out;
}

}  // namespace sallyport::server
