#include "attestation-server/store/migrations.h"

namespace sallyport::server {

Result<int64_t> SchemaVersion(Connection& connection) {
  SP_TRY(
      connection.Execute("CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY "
                         "KEY, name TEXT NOT NULL)"));
  SP_TRY(const auto row,
         connection.QueryOne("SELECT COALESCE(MAX(version), 0) FROM schema_migrations", "i"));
  return row.has_value() ? row->Integer(0) : 0;
}

namespace {

Result<Unit> Apply(Connection& connection, const Migration& migration) {
  SP_TRY(connection.Execute("BEGIN IMMEDIATE"));
  Result<Unit> applied = connection.RunScript(std::string(migration.sql));
  if (applied.has_value()) {
    auto noted = connection.Execute("INSERT INTO schema_migrations (version, name) VALUES (:v, :n)",
                                    {migration.version, migration.name});
    if (noted.has_value()) {
      auto committed = connection.Execute("COMMIT");
      if (committed.has_value()) return Unit{};
      applied = std::move(committed).error();
    } else {
      applied = std::move(noted).error();
    }
  }
  if (connection.in_transaction()) (void)connection.Execute("ROLLBACK");
  return std::move(applied).error().WithContext(migration.name);
}

}  // namespace

Result<Unit> Migrate(Connection& connection, std::span<const Migration> migrations) {
  SP_TRY(const int64_t version, SchemaVersion(connection));
  if (!migrations.empty() && version > migrations.back().version)
    return Error{Reason::kUnsupported,
                 "schema " + std::to_string(version) + " is newer than this program's " +
                     std::to_string(migrations.back().version),
                 "store.newer-schema"};
  for (const Migration& migration : migrations)
    if (migration.version > version) SP_TRY(Apply(connection, migration));
  return Unit{};
}

}  // namespace sallyport::server
