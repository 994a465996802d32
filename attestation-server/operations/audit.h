// The audit as operators read it.
#pragma once

#include "attestation-server/operations/operator.h"
#include "pki/base/json.h"

namespace sallyport::server {

// TailAudit shows entries after `after_seq`; 0: the latest `limit`.
Result<JsonValue> TailAuditEntries(Database& database, uint64_t after_seq, int64_t limit);

// CheckAudit walks the whole chain; kMismatch with the rule of the first entry that does not fit.
Result<JsonValue> CheckAudit(Database& database);

}  // namespace sallyport::server
