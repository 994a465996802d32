// The audit and what it names, as an export asks for it (archive/export_files.h).
#pragma once

#include "attestation-server/archive/checkpoint.h"
#include "attestation-server/archive/export_files.h"
#include "attestation-server/store/database.h"
#include "attestation-server/store/evidence_blobs.h"

namespace sallyport::server {

// AuditExport is thread-safe. Borrows the database and the blobs.
class AuditExport {
 public:
  struct Service {
    std::string trust_domain;
    uint64_t incarnation = 0;
    std::string trust_bundle;  // text
  };
  AuditExport(Database& database, EvidenceBlobs& blobs, CheckpointSigner signer, Service service)
      : database_(database),
        blobs_(blobs),
        signer_(std::move(signer)),
        service_(std::move(service)) {}

  // Answer: kInvalidArgument "export.section", "export.key"; kNotFound "export.unknown".
  Result<JsonValue> Answer(const ExportQuery& query, UnixTime now);

 private:
  Result<JsonValue> MakeCheckpoint(UnixTime now);
  Result<JsonValue> Page(const std::string& after);
  Result<JsonValue> Verdict(const std::string& id);
  Result<JsonValue> Reference(const std::string& id);
  Result<JsonValue> Policy(const std::string& version);
  Result<JsonValue> Blob(const std::string& hash, uint64_t offset);

  Database& database_;
  EvidenceBlobs& blobs_;
  const CheckpointSigner signer_;
  const Service service_;
};

}  // namespace sallyport::server
