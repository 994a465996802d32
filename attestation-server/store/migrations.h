// Numbered migrations. The SQL texts live in migrations/NNNN_*.sql and are embedded at build time.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "attestation-server/store/connection.h"

namespace sallyport::server {

struct Migration {
  int64_t version;
  std::string_view name;
  std::string_view sql;
};

// Migrations are in order of version, starting at 1 without gaps.
std::span<const Migration> Migrations();

// SchemaVersion returns 0 for an empty file.
Result<int64_t> SchemaVersion(Connection& connection);

// Migrate applies what is missing, each migration in its own transaction. kUnsupported
// ("store.newer-schema") when the file is ahead of this program.
Result<Unit> Migrate(Connection& connection, std::span<const Migration> migrations);

}  // namespace sallyport::server
