// What an audit export is made of: the names of its files and the JSON of audit entries. The whole
// format is in docs/operations/audit.md. Pure; thread-safe.
#pragma once

#include "attestation-server/store/audit.h"
#include "pki/base/json.h"
#include "pki/ca/signed_statement.h"

namespace sallyport::server {

inline constexpr std::string_view kExportFormat = "audit-export/v1";
// One page holds so many entries, or so many bytes of records: it fits a message with room to
// spare.
inline constexpr int64_t kExportPageEntries = 1000;
inline constexpr size_t kExportPageBytes = 1 << 20;
// Pages, verdicts and references are below this; a page ends with the entry that fills it.
inline constexpr uint64_t kExportFileMax = 4 << 20;

// ExportQuery is one question to the service. Sections and their keys:
//   checkpoint  -                     {"body","signature","trust_bundle"}
//   audit       sequence number       {"entries":[...]} after it
//   verdict     id                    the verdict (VerdictJson)
//   reference   id                    {"json"}
//   policy      version               {"manifest"}
//   blob        SHA-256, and offset   {"size","data"}, data in base64
struct ExportQuery {
  std::string section;
  std::string key = {};
  uint64_t offset = 0;
};

std::string CheckpointPath(const std::string& folder);
std::string PagePath(const std::string& folder, uint64_t first_seq);
std::string VerdictPath(const std::string& folder, const std::string& id);
std::string ReferencePath(const std::string& folder, const Sha256Digest& id);
std::string PolicyPath(const std::string& folder, const std::string& manifest_sha256);
std::string BlobsPath(const std::string& folder);

JsonValue EntryJson(const AuditEntry& entry);
Result<AuditEntry> ParseEntry(const JsonCursor& json);
Result<std::vector<AuditEntry>> ParsePage(std::string_view text);

// ExportHead is checkpoint.json: the signed checkpoint, and the trust bundle of the service.
struct ExportHead {
  pki::SignedStatement checkpoint;
  std::string trust_bundle;
};
JsonValue ExportHeadJson(const ExportHead& head);
Result<ExportHead> ParseExportHead(const JsonCursor& json);

// JudgedEntry is what an audit entry says of a verdict; nothing when it is about something else, or
// when its record was deleted by retention. `document` is empty when the evidence was not kept.
struct JudgedEntry {
  std::string verdict;
  std::string purpose;
  std::string evidence;  // SHA-256 over all bytes that were received
  std::string document;
  std::string verdict_sha256;
};
Result<std::optional<JudgedEntry>> JudgedBy(const AuditEntry& entry);

// AppliedPolicy is the manifest that an entry brought in force.
struct AppliedPolicy {
  int64_t version = 0;
  std::string manifest_sha256;
};
Result<std::optional<AppliedPolicy>> PolicyBy(const AuditEntry& entry);

Result<Sha256Digest> ParseSha256(std::string_view hex);

}  // namespace sallyport::server
