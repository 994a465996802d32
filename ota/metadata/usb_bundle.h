// Updates by hand, for devices without a network: a folder of the same objects as the image
// repository, and a statement by a delegated role with a long life that says which release this
// bundle brings (docs/operations/usb-update.md).
//
// Timestamp and snapshot live for days and a bundle for months, so the repository is judged at the
// time that the statement was made, and the statement's own end at the time of use. Serials bound
// what a stolen bundle key can do: targets, people, say which serials of a role devices take at
// all, and a device takes each only once.
#pragma once

#include "ota/metadata/client.h"
#include "ota/metadata/release.h"

namespace sallyport::ota {

inline constexpr uint64_t kBundleStatementSizeMax = 16'384;  // one line of JSON
inline constexpr std::string_view kBundleStatementFile = "bundle.json";

struct BundleStatement {
  std::string role;
  uint64_t serial;
  UnixTime made_at;
  UnixTime expires;
  std::string release;  // target path of a release.json
};
// ParseBundleStatement: kMalformed with the JSON rules; kUnsupported, rule bundle.format.
Result<BundleStatement> ParseBundleStatement(ByteView json);
std::string WriteBundleStatement(const BundleStatement& statement);
// BundleTargetPath is where a role's statement stands in the repository: `bundles/<role>.json`.
std::string BundleTargetPath(std::string_view role);

// VerifiedBundle: its release was signed by targets and its statement by the bundle role.
struct VerifiedBundle {
  BundleStatement statement;
  ReleaseDigest digest;
  Release release;
  Bytes release_json;
};

// VerifyUsbBundle judges the folder behind `bundle` with the metadata that `client` holds, which it
// moves forward. `serial_floor` is the last serial that this device took from the role. Refusals:
// those of trusted_metadata.h and release.h; bundle.role kUntrusted (another role signed the
// statement); bundle.statement kMismatch (the statement is not the signed one); bundle.no-limits,
// bundle.serial-limit kPolicyDenied; bundle.serial-used kReplayed; bundle.expired kExpired;
// bundle.release kUntrusted (not signed by targets itself).
Result<VerifiedBundle> VerifyUsbBundle(MetadataClient& client, Fetcher& bundle,
                                       std::string_view role, uint64_t serial_floor, UnixTime now);

}  // namespace sallyport::ota
