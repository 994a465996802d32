// What is known of a device, as a signed attestation result for other relying parties.
#pragma once

#include "attestation-server/store/database.h"
#include "attestation-server/store/devices.h"
#include "pki/ca/attestation_result.h"

namespace sallyport::server {

// A result that affirms nothing is about now: whoever needs a later one asks again.
inline constexpr Duration kNegativeResultLifetime = Minutes(5);

// ResultOf maps a device's record to the AR4SI vector (table: docs/verifier.md, "Attestation
// results"). A pass that still holds lives from attested_at to valid_until; everything else from
// `now`. Pure.
pki::AttestationResult ResultOf(const DeviceRecord& device, const std::string& verifier,
                                UnixTime now);

// AttestationResults is thread-safe. Borrows the database.
class AttestationResults {
 public:
  AttestationResults(Database& database, pki::VerdictSigner signer, std::string verifier)
      : database_(database), signer_(std::move(signer)), verifier_(std::move(verifier)) {}

  // Show answers {"ear": JWS, "claims", "jwks"}; kNotFound ("device.unknown").
  Result<JsonValue> Show(std::string_view name, UnixTime now);

 private:
  Database& database_;
  const pki::VerdictSigner signer_;
  const std::string verifier_;
};

}  // namespace sallyport::server
