// Database: one writer, a few readers over WAL snapshots, migrations at opening.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "attestation-server/store/connection.h"
#include "attestation-server/store/writer.h"
#include "pki/base/random.h"

namespace sallyport::server {

class Database;

// Snapshot is a read connection inside one read transaction: everything it reads is of one moment.
// It returns to the pool when destroyed.
class Snapshot {
 public:
  Snapshot(Snapshot&& other) noexcept;
  Snapshot& operator=(Snapshot&&) = delete;
  ~Snapshot();
  Connection& connection() { return *connection_; }

 private:
  friend class Database;
  Snapshot(Database& database, std::unique_ptr<Connection> connection)
      : database_(&database), connection_(std::move(connection)) {}
  Database* database_;
  std::unique_ptr<Connection> connection_;
};

// Database is thread-safe.
class Database {
 public:
  // Open migrates the file to the newest schema. kUnsupported when it was written by a newer
  // program. `random` must outlive the database.
  static Result<std::unique_ptr<Database>> Open(const std::string& path, Random& random);

  Writer& writer() { return *writer_; }
  // Read waits for a free read connection.
  Result<Snapshot> Read();

 private:
  friend class Snapshot;
  Database() = default;
  void Return(std::unique_ptr<Connection> connection);

  std::unique_ptr<Writer> writer_;
  std::mutex pool_mutex_;
  std::condition_variable pool_changed_;
  std::vector<std::unique_ptr<Connection>> pool_;  // guarded by pool_mutex_
};

}  // namespace sallyport::server
