// Updates by hand, for devices without a network: a folder of the same objects as the image
// repository, and a statement by a delegated role with a long life that says which release this
// bundle brings (docs/operations/usb-update.md).
//
// Timestamp and snapshot live for days and a bundle for months, so the repository is judged at the
// time that the statement was made, and the statement's own end at the time of use. Serials bound
// what a stolen bundle key can do: targets, people, say which serials of a role devices take at
// all, and a device takes each only once.
#pragma once

#include <map>

#include "ota/metadata/client.h"
#include "ota/metadata/release_rules.h"

namespace sallyport::ota {

inline constexpr uint64_t kBundleStatementSizeMax = 16'384;  // one line of JSON
inline constexpr std::string_view kBundleStatementFile = "bundle.json";
// The slowest tour of a technician is a year. Who has the bundle role's keys chooses when a bundle
// was made, and with it how old the repository may be that it brings: no older than this.
inline constexpr Duration kBundleLifeMax = Days(400);
// How far the clock of the machine that makes bundles may be ahead of a device's.
inline constexpr Duration kBundleClockSkew = Hours(24);

struct BundleStatement {
  std::string role;
  uint64_t serial;
  UnixTime made_at;
  UnixTime expires;
  std::string release;  // target path of a release.json
  // The device may commit by its own health when no server judged the new boot in time.
  bool commit_locally = false;
};
// ParseBundleStatement: kMalformed with the JSON rules; kUnsupported, rule bundle.format.
Result<BundleStatement> ParseBundleStatement(ByteView json);
std::string WriteBundleStatement(const BundleStatement& statement);
// BundleTargetPath is where a role's statement stands in the repository: `bundles/<role>.json`.
std::string BundleTargetPath(std::string_view role);

// CheckBundleable: kUnsupported, bundle.sealed. The key of a sealed release comes from the service,
// to a device that the director assigns it; a bundle carries none.
Result<Unit> CheckBundleable(const Release& release);

// TakenBundle is the last bundle that a device took of one role.
struct TakenBundle {
  uint64_t serial;
  Sha256Digest statement;  // of the bytes of bundle.json
  bool finished;           // committed or given up: it is not taken up again
};

// BundleTaker is this device, as far as a bundle is judged by it.
struct BundleTaker {
  std::string hardware_id;
  ManifestFloors floors = {};
  std::map<std::string, TakenBundle, std::less<>> taken = {};  // by role
  std::optional<ReleaseDigest> running = {};
  // Files release.json that the device holds: they say what `running` is once targets does not.
  std::vector<Bytes> known_releases = {};
};

// VerifiedBundle: its release was signed by targets, its statement by the bundle role, and this
// device may take it. Only VerifyUsbBundle makes one. Immutable.
class VerifiedBundle {
 public:
  const BundleStatement& statement() const { return statement_; }
  const Sha256Digest& statement_digest() const { return statement_digest_; }
  const ReleaseDigest& digest() const { return digest_; }
  const Release& release() const { return release_; }
  // release_json as received.
  const Bytes& release_json() const { return release_json_; }
  uint64_t image_root_version() const { return image_root_version_; }
  uint64_t image_targets_version() const { return image_targets_version_; }

 private:
  friend class BundleJudge;
  VerifiedBundle(BundleStatement statement, Sha256Digest statement_digest, Release release,
                 Bytes release_json, const TrustedMetadata& trusted)
      : statement_(std::move(statement)),
        statement_digest_(statement_digest),
        digest_(ReleaseDigestOf(release_json)),
        release_(std::move(release)),
        release_json_(std::move(release_json)),
        image_root_version_(trusted.root().version),
        image_targets_version_(trusted.top().version) {}
  BundleStatement statement_;
  Sha256Digest statement_digest_;
  ReleaseDigest digest_;
  Release release_;
  Bytes release_json_;
  uint64_t image_root_version_;
  uint64_t image_targets_version_;
};

// VerifyUsbBundle judges the folder behind `bundle` with the metadata that `client` holds. That
// moves forward when everything has passed, and stays as it is otherwise. `role` is the role that
// must have signed the statement; empty takes any that targets gives serials. A bundle that was
// taken and is not finished may be taken again, if the statement is the same to the byte.
// Refusals: those of trusted_metadata.h and of release_rules.h; bundle.clock kExpired (made after
// `now`: this machine's clock is behind); bundle.role kUntrusted (another role signed the
// statement); bundle.statement kMismatch (the statement is not the signed one); bundle.no-limits,
// bundle.serial-limit kPolicyDenied; bundle.serial-used kReplayed; bundle.life kPolicyDenied;
// bundle.expired kExpired; bundle.release kUntrusted (not signed by targets itself); that of
// CheckBundleable; bundle.product kMismatch; bundle.min-version, bundle.running-unknown
// kPolicyDenied.
Result<VerifiedBundle> VerifyUsbBundle(MetadataClient& client, Fetcher& bundle,
                                       std::string_view role, const BundleTaker& taker,
                                       UnixTime now);

}  // namespace sallyport::ota
