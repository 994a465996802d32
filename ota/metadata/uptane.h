// The device manifest: the director says online what this device shall run and whom it may talk to,
// the image repository says offline what exists at all, and only what both say is believed
// (architecture 7). VerifyBundle is the pure core; ManifestVerifier is the shell that fetches,
// floors and stores.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ota/metadata/client.h"
#include "ota/metadata/release.h"
#include "ota/metadata/release_rules.h"

namespace sallyport::ota {

// DeviceManifest is what the server sends, byte by byte as signed; `slice` is empty without one.
struct DeviceManifest {
  std::vector<Bytes> root_chain;
  Bytes timestamp;
  Bytes snapshot;
  Bytes targets;
  Bytes slice;
};

// ManifestIdentity is who this device is; the manifest must have been made for exactly it.
struct ManifestIdentity {
  std::string device_id;
  std::string trust_domain;
  std::string hardware_id;
};

struct ImageBytes {
  Bytes root, timestamp, snapshot, targets;
  Bytes policy_role;  // metadata of the delegated role `policy`; empty when no policy is published
  Bytes release;      // release.json; empty when the director assigns none
  Bytes policy_manifest;  // policy/policy.json; empty when no policy is published
};
struct DirectorBytes {
  Bytes root, timestamp, snapshot, targets, slice;
};
// ManifestBundle is one complete verified state, stored as one file and verified again at each
// start.
struct ManifestBundle {
  ImageBytes image;
  DirectorBytes director;
};

// VerifiedRelease has been assigned by the director and signed by the image repository. Only
// VerifyBundle makes one.
class VerifiedRelease {
 public:
  const ReleaseDigest& digest() const { return digest_; }
  const Release& release() const { return release_; }
  // json is release.json as received.
  const Bytes& json() const { return json_; }

 private:
  friend class ManifestJudge;
  VerifiedRelease(ReleaseDigest digest, Release release, Bytes json)
      : digest_(digest), release_(std::move(release)), json_(std::move(json)) {}
  ReleaseDigest digest_;
  Release release_;
  Bytes json_;
};

// VerifiedManifest is everything this device obeys. Only VerifyBundle makes one. Immutable;
// thread-safe.
class VerifiedManifest {
 public:
  const std::string& device_id() const { return identity_.device_id; }
  const std::string& trust_domain() const { return identity_.trust_domain; }
  // version orders manifests of this device: incarnation * 2^32 + counter.
  uint64_t version() const { return version_; }
  uint64_t incarnation() const { return version_ >> 32; }
  // rollout is empty when the release was not assigned by one.
  const std::string& rollout() const { return rollout_; }
  // expires is the end of the director's word: the offline lease.
  UnixTime expires() const { return expires_; }
  uint64_t image_root_version() const { return image_root_version_; }
  uint64_t image_targets_version() const { return image_targets_version_; }
  bool development() const { return development_; }
  const std::optional<VerifiedRelease>& release() const { return release_; }
  // slice is nullopt when the director signed none: no access then. Bytes as received.
  const std::optional<Bytes>& slice() const { return slice_; }
  // policy_manifest was signed by the offline role `policy`; nullopt before the first policy is
  // published.
  const std::optional<Bytes>& policy_manifest() const { return policy_manifest_; }

 private:
  friend class ManifestJudge;
  VerifiedManifest() = default;
  ManifestIdentity identity_;
  uint64_t version_ = 0;
  std::string rollout_;
  UnixTime expires_;
  uint64_t image_root_version_ = 0;
  uint64_t image_targets_version_ = 0;
  bool development_ = false;
  std::optional<VerifiedRelease> release_;
  std::optional<Bytes> slice_;
  std::optional<Bytes> policy_manifest_;
};

inline constexpr std::string_view kPolicyTargetPath = "policy/policy.json";
inline constexpr std::string_view kPolicyRole = "policy";
inline constexpr std::string_view kSliceTargetPath = "slice.json";
inline constexpr std::string_view kTrustBundleTargetPath = "trust-bundle.json";

// ImageRules and DirectorRules are what the two repositories of `trust_domain` must satisfy.
MetadataRules ImageRules(const std::string& trust_domain);
MetadataRules DirectorRules(const std::string& trust_domain);

// VerifyBundle verifies both repositories from their roots and matches them. Refusals beyond those
// of trusted_metadata.h: uptane.foreign-device, uptane.foreign-domain, uptane.incarnation,
// uptane.director-delegates, uptane.director-targets, uptane.repositories-disagree,
// uptane.release-unsigned, uptane.release-content, uptane.release-file, uptane.hardware,
// uptane.policy-role, uptane.slice-unsigned, uptane.floor, uptane.release-rollback. Pure.
Result<VerifiedManifest> VerifyBundle(const ManifestBundle& bundle,
                                      const ManifestIdentity& identity,
                                      const ManifestFloors& floors, UnixTime now);

// EncodeBundle and DecodeBundle: the stored file (docs/protocol.md, "Verified state").
Bytes EncodeBundle(const ManifestBundle& bundle);
Result<ManifestBundle> DecodeBundle(ByteView bytes);

// ManifestVerifier keeps its state below one directory. One thread at a time.
class ManifestVerifier {
 public:
  ManifestVerifier(FileSystem& files, std::string directory, ManifestIdentity identity);

  // Provision stores the first roots of both repositories; roots that are there already stay.
  Result<Unit> Provision(ByteView image_root, ByteView director_root);
  // Verify refreshes the image repository, verifies `manifest` against what is held, stores the
  // result as one file and returns it. On any refusal the held state stays as it was.
  Result<VerifiedManifest> Verify(const DeviceManifest& manifest, Fetcher& image,
                                  const ManifestFloors& floors, UnixTime now);
  // StoredRelease is the release.json of the held state below `directory`, of whatever age; empty
  // when there is none. Its digest is all that vouches for it.
  static Bytes StoredRelease(FileSystem& files, const std::string& directory);
  // VerifyStored verifies the held state again, without a network. kNotFound when there is none.
  Result<VerifiedManifest> VerifyStored(const ManifestFloors& floors, UnixTime now) const;

 private:
  static Result<ManifestBundle> LoadBundle(FileSystem& files, const std::string& directory);
  Result<ManifestBundle> LoadBundle() const { return LoadBundle(files_, directory_); }
  Result<DirectorBytes> AdvanceDirector(const DeviceManifest& manifest, UnixTime now) const;
  Result<ImageBytes> CollectImage(const TrustedMetadata& director, Fetcher& fetcher, UnixTime now);

  FileSystem& files_;
  std::string directory_;
  ManifestIdentity identity_;
  MetadataClient image_;
};

}  // namespace sallyport::ota
