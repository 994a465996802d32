// Transaction is what a unit of work sees: the writer's connection and the audit chain. Whatever it
// does becomes durable together, or not at all.
#pragma once

#include "attestation-server/store/audit.h"
#include "attestation-server/store/connection.h"

namespace sallyport::server {

class Transaction {
 public:
  Transaction(Connection& connection, AuditAppender& audit)
      : connection_(connection), audit_(audit) {}
  Connection& connection() { return connection_; }
  // Audit appends one entry to the chain and returns its sequence number. A failed append fails the
  // work.
  Result<uint64_t> Audit(std::string_view event, const JsonValue& record) {
    return audit_.Append(connection_, event, record);
  }

 private:
  Connection& connection_;
  AuditAppender& audit_;
};

}  // namespace sallyport::server
