// Whether a device may get and run a release: every gate with what it needs and what is there. The
// gates of the service are answered from its store, the rollback floor from what the device's TPM
// certified; what only the device knows (its hardware id, a floor that it never showed) is deduced
// from the release that it proved to run, and stays open without one. The device decides those by
// itself, and reports the gate that failed.
#pragma once

#include "attestation-server/store/database.h"
#include "pki/base/json.h"

namespace sallyport::server {

// ExplainRelease takes a device by name or id, a release as `product/version`, by its target path
// or by its digest. kNotFound "device.unknown", "release.unknown". The answer:
// {"device","release","release_digest","answer":"yes"|"no"|"open","running",
//  "gates":[{"gate","result":"pass"|"fail"|"open","need","have"}],"log"}. `log` is the end of the
//  log of its boot that failed, else empty. `no`: a gate fails; `open`:
//  none
// fails, and the device decides at least one. Thread-safe.
Result<JsonValue> ExplainRelease(Database& database, std::string_view device,
                                 std::string_view release, UnixTime now);

}  // namespace sallyport::server
