// The director repository: per-device metadata made on demand (docs/protocol.md, "Director"). Its
// root is offline; targets, snapshot and timestamp are signed here with three online keys.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "attestation-server/enrolment/bounded_cache.h"
#include "ota/metadata/release.h"
#include "ota/repository/document_writer.h"
#include "pki/base/time.h"

namespace sallyport::server {

// AssignedRelease names a release.json exactly as the image repository does.
struct AssignedRelease {
  std::string path;
  uint64_t length;
  Sha256Digest sha256;
  JsonValue custom;
  std::string rollout;  // empty when no rollout assigned it
};
// AssignRelease reads `release_json`. Errors of ota::ParseRelease.
Result<AssignedRelease> AssignRelease(ByteView release_json, std::string rollout);

// DirectorOrder is everything that the director can say about one device.
struct DirectorOrder {
  std::string device_id;
  uint32_t incarnation;
  uint32_t counter;
  UnixTime expires;
  std::optional<AssignedRelease> release;
  std::optional<ota::MetaFile> slice;  // length and digest of slice.json; version unused
  // version = incarnation * 2^32 + counter, of all three documents.
  uint64_t version() const { return (uint64_t{incarnation} << 32) | counter; }
};

struct DirectorMetadata {
  uint64_t version = 0;  // of all three
  Bytes timestamp;
  Bytes snapshot;
  Bytes targets;
};

// DirectorSigner is a typed signer: it takes an order, never bytes, so that it can move into
// another process. Thread-safe.
class DirectorSigner {
 public:
  virtual ~DirectorSigner() = default;
  virtual Result<DirectorMetadata> SignDirector(const DirectorOrder& order) = 0;
};

// LocalDirectorSigner holds the three keys in this process.
class LocalDirectorSigner final : public DirectorSigner {
 public:
  LocalDirectorSigner(std::string trust_domain, pki::PrivateKey targets, pki::PrivateKey snapshot,
                      pki::PrivateKey timestamp);
  Result<DirectorMetadata> SignDirector(const DirectorOrder& order) override;

 private:
  std::string trust_domain_;
  ota::Signer targets_;
  ota::Signer snapshot_;
  ota::Signer timestamp_;
};

// Assignment is what a device shall have now.
struct Assignment {
  std::string device_id;
  std::optional<AssignedRelease> release;
  ByteView slice;  // slice.json; empty for none. Borrowed during the call
};

// Director caches what it made until the assignment changes or an eighth of the lease has passed,
// so that asking again is cheap and gives the same bytes. Thread-safe.
class Director {
 public:
  // NextVersion gives an (incarnation, counter) that was never given for the device before.
  struct Version {
    uint32_t incarnation;
    uint32_t counter;
  };
  using NextVersion = std::function<Result<Version>(const std::string& device_id)>;

  // `lease` is how long a device may go on without the server; `entries_max` bounds the cache.
  Director(DirectorSigner& signer, NextVersion next_version, Duration lease, size_t entries_max);

  // MetadataFor returns metadata that is valid for 7/8 to 8/8 of the lease. Errors of NextVersion
  // and the signer.
  Result<DirectorMetadata> MetadataFor(const Assignment& assignment, UnixTime now);
  // Forget drops a device, so that the next call signs anew.
  void Forget(const std::string& device_id);

 private:
  struct Entry {
    Sha256Digest key;
    DirectorMetadata metadata;
  };
  DirectorSigner& signer_;
  NextVersion next_version_;
  Duration lease_;
  BoundedCache<std::string, Entry> entries_;
};

}  // namespace sallyport::server
