// Limits of the store, each with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pki/base/time.h"

namespace sallyport::server {

// One commit carries at most this many transactions: on a medium that takes 5 ms to sync that is
// 50,000/s, and the last of a batch waits no longer for its neighbours than for the sync.
inline constexpr size_t kWriterBatchMax = 256;
// Transactions waiting for the writer: more than a second of work is refused instead of queued.
inline constexpr size_t kWriterQueueMax = 8192;
// Read connections: two cores' worth of readers, and one to spare for a slow listing.
inline constexpr size_t kReaderPoolSize = 4;
// A lock held by another process (backup, sqlite3 shell) is waited for this long.
inline constexpr int kBusyTimeoutSeconds = 2;
// An evidence blob is an event log (4 MiB), or a document with its quotes and keys and, in base64,
// a measurement list of 4 MiB.
inline constexpr uint64_t kEvidenceBlobMax = 8u << 20;
// One page of a listing.
inline constexpr int64_t kListMax = 10000;
// Spent tickets: a ticket lives 60 s; an hour covers a clock that was set back.
inline constexpr Duration kSpentTicketsKept = Hours(1);
// Verdicts of passed renewals and ended certificates; failures, verdicts whose evidence is kept,
// and the audit stay.
inline constexpr Duration kHistoryKept = Days(30);
// What differed on devices that failed is counted for as long as anybody may still ask.
inline constexpr Duration kObservedKept = Days(30);
// Different boots that one class may show while it is learned: more is no class.
inline constexpr int64_t kLearnedSetsMax = 32;
// One audit record: events of a refusal with their diff fit; a flood of text does not.
inline constexpr size_t kAuditRecordMax = 64u << 10;

}  // namespace sallyport::server
