// What one admission leaves behind: the spent ticket, the verdict, the certificate.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attestation-server/store/devices.h"

namespace sallyport::server {

// SpendTicket inserts the id under a unique constraint; kReplayed ("ticket.spent") the second time.
Result<Unit> SpendTicket(Connection& connection, const TicketId& ticket, std::string_view device_id,
                         std::string_view purpose, UnixTime now);
Result<std::optional<UnixTime>> FindSpentTicket(Connection& connection, const TicketId& ticket);

struct CertificateRow {
  std::string serial;  // hex
  std::string device_id;
  std::string issuer_key_id;  // hex
  uint64_t issuer_epoch = 0;
  uint64_t epoch = 0;
  uint64_t incarnation = 0;
  Bytes tls_name;
  Sha256Digest spki_hash = Sha256Digest::FromArray({});
  UnixTime not_before;
  UnixTime not_after;
  UnixTime attested_at;
  BootId boot_id = BootId::FromArray({});
};
Result<Unit> InsertCertificate(Connection& connection, const CertificateRow& row);
Result<std::vector<CertificateRow>> ListCertificates(Connection& connection,
                                                     std::string_view device_id, int64_t limit);

struct VerdictRow {
  std::string id;         // 32 hex digits; a refusal's is its reference id
  std::string device_id;  // empty when no device was known
  std::string purpose;
  bool passed = false;
  std::string rule;                           // the first failed rule; empty when passed
  std::string checks;                         // JSON: every check with its result
  std::string diff;                           // JSON: the device's events that did not match
  std::optional<Sha256Digest> evidence_hash;  // blob; absent for renewals within a boot
  std::optional<Sha256Digest> log_hash;
  std::optional<Sha256Digest> reference_set;
  uint64_t reference_epoch = 0;
  uint64_t policy_epoch = 0;
  uint64_t issuer_epoch = 0;
  UnixTime attested_at;
  UnixTime valid_until;
  UnixTime judged_at;
};
Result<Unit> InsertVerdict(Connection& connection, const VerdictRow& row);
Result<std::optional<VerdictRow>> FindVerdict(Connection& connection, std::string_view id);
Result<std::vector<VerdictRow>> ListVerdicts(Connection& connection, std::string_view device_id,
                                             int64_t limit);
// CountSameFailure says how many devices showed the same failed rule and diff since `since`.
Result<int64_t> CountSameFailure(Connection& connection, std::string_view rule,
                                 std::string_view diff, UnixTime since);

// PruneHistory deletes spent tickets older than kSpentTicketsKept, and verdicts of passed renewals
// and ended certificates older than kHistoryKept, and observed digests older than kObservedKept;
// returns how many. Run it often: it holds the writer for as long as there is to delete.
Result<int64_t> PruneHistory(Connection& connection, UnixTime now);

}  // namespace sallyport::server
