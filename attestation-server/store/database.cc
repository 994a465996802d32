#include "attestation-server/store/database.h"

#include "attestation-server/store/limits.h"
#include "attestation-server/store/migrations.h"
#include "pki/base/log.h"

namespace sallyport::server {

Snapshot::Snapshot(Snapshot&& other) noexcept
    : database_(other.database_), connection_(std::move(other.connection_)) {}

Snapshot::~Snapshot() {
  if (connection_ == nullptr) return;
  const auto ended = connection_->Execute("COMMIT");
  if (!ended.has_value())
    Log(LogLevel::kError, "store_snapshot_end_failed", {{"error", ended.error().ToString()}});
  database_->Return(std::move(connection_));
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path, Random& random) {
  SP_TRY(std::unique_ptr<Connection> connection, Connection::Open(path, ConnectionMode::kWriter));
  SP_TRY(Migrate(*connection, Migrations()));
  std::unique_ptr<Database> database(new Database());
  SP_TRY(database->writer_, Writer::Start(std::move(connection), random));
  for (size_t i = 0; i < kReaderPoolSize; ++i) {
    SP_TRY(std::unique_ptr<Connection> reader, Connection::Open(path, ConnectionMode::kReader));
    database->pool_.push_back(std::move(reader));
  }
  return database;
}

Result<Snapshot> Database::Read() {
  std::unique_ptr<Connection> connection;
  {
    std::unique_lock lock(pool_mutex_);
    pool_changed_.wait(lock, [this] { return !pool_.empty(); });
    connection = std::move(pool_.back());
    pool_.pop_back();
  }
  const auto begun = connection->Execute("BEGIN");
  if (!begun.has_value()) {
    Return(std::move(connection));
    return begun.error();
  }
  return Snapshot(*this, std::move(connection));
}

void Database::Return(std::unique_ptr<Connection> connection) {
  const std::lock_guard lock(pool_mutex_);
  pool_.push_back(std::move(connection));
  pool_changed_.notify_one();
}

}  // namespace sallyport::server
