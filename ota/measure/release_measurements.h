// ReleaseMeasurements: the `measurements` member of release.json (docs/protocol.md, Release). Event digests, not
// final PCR values, so that the verifier can tell release-controlled events from the device's own.
#pragma once

#include <vector>

#include "ota/measure/uki.h"
#include "pki/base/digest.h"
#include "pki/base/json.h"

namespace sallyport::ota {

struct ReleaseMeasurements {
  std::vector<Sha256Digest> pcr4_secure_boot_off;
  std::vector<Sha256Digest> pcr4_secure_boot_on;
  std::vector<Sha256Digest> pcr11;

  static ReleaseMeasurements Of(const UkiMeasurements& uki);
  // Parse: the JSON rules of JsonCursor, measure.bank (kUnsupported: not sha256), measure.events (empty, or above
  // kMeasuredEventsMax), measure.digest (not 64 lower-case hex digits).
  static Result<ReleaseMeasurements> Parse(const JsonCursor& json);
  JsonValue ToJson() const;
  bool operator==(const ReleaseMeasurements&) const = default;
};

}  // namespace sallyport::ota
