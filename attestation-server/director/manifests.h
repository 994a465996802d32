// Manifests: what each device shall run and whom it may talk to, made when asked and kept until
// something that concerns the device changes.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "attestation-server/director/director.h"
#include "attestation-server/enrolment/bounded_cache.h"
#include "attestation-server/store/database.h"
#include "ota/metadata/uptane.h"
#include "policies/decision/slice.h"
#include "policies/language/zone_rule.h"

namespace sallyport::server {

struct ManifestParts {
  Database& database;
  DirectorSigner& signer;
  const policy::ZoneLookup& zones;
};

// kManifestDevicesMax: about 5 KB each, twice the largest fleet we plan for. A device that was
// asked for longest ago is forgotten, and told its manifest anew when it comes back.
inline constexpr size_t kManifestDevicesMax = 200'000;

struct ManifestTerms {
  std::string trust_domain;
  uint32_t incarnation = 1;
  Duration lease = Hours(24);
  std::vector<Bytes> director_roots;  // 1.root.json, 2.root.json, ...: those of the start
  size_t devices_max = kManifestDevicesMax;
};

// ManifestNews is the newest that a device shall obey.
struct ManifestNews {
  UnixTime since;        // when there was news
  uint64_t version = 0;  // of the manifest that carries it; 0: the device has not asked for it
  bool operator==(const ManifestNews&) const = default;
};

// Manifests is thread-safe.
class Manifests {
 public:
  Manifests(ManifestParts parts, ManifestTerms terms);

  // Invalidate: devices, policy or rollouts changed. Cheap; work is done when a device asks.
  void Invalidate();

  // Generation rises when what the device shall obey has changed (or half of its lease is over). It
  // is no version of anything signed; it tells the stream to push.
  Result<uint64_t> Generation(const std::string& device_id, UnixTime now);

  // For makes the manifest. kNotFound for an unknown device.
  Result<ota::DeviceManifest> For(const std::string& device_id, UnixTime now);

  // AddDirectorRoot is the next of director_roots; every device has news.
  void AddDirectorRoot(Bytes root);

  // NewsOf is nothing for a device that is not remembered: nobody asked since the start, or lately.
  std::optional<ManifestNews> NewsOf(const std::string& device_id);
  // Forget drops what is kept of a device that was cut off; it costs an extra push if it comes
  // back.
  void Forget(const std::string& device_id);

 private:
  // World is one consistent view of everything slices are made of.
  struct World {
    uint64_t serial = 0;
    std::vector<Bytes> director_roots;
    std::optional<policy::PolicyManifest> manifest;
    policy::PolicyTexts texts;
    std::optional<policy::CompiledPolicy> compiled;
  };
  struct Held {
    uint64_t world = 0;      // serial of the world it was compared with
    int64_t half_lease = 0;  // number of the half lease it was made in
    uint64_t generation = 0;
    UnixTime since;        // when this generation began
    uint64_t version = 0;  // of the manifest made last of it; 0: none
    Sha256Digest content = Sha256Digest::FromArray({});
    std::shared_ptr<const Bytes> slice;  // null: not made
  };

  Result<std::shared_ptr<const World>> CurrentWorld(UnixTime now);
  Result<World> LoadWorld(UnixTime now);
  // Contents is the slice with a fixed header, and the assigned release: what decides whether a
  // device has news.
  Result<std::string> SliceText(const World& world, const policy::SliceHeader& header) const;
  Result<std::optional<AssignedRelease>> ReleaseOf(const std::string& device_id);
  Result<Director::Version> NextVersion();
  Result<std::shared_ptr<const Bytes>> MakeSlice(const std::string& device_id, const World& world,
                                                 UnixTime now);
  Result<std::shared_ptr<const Held>> Compare(const std::string& device_id, const World& world,
                                              UnixTime now);

  ManifestParts parts_;
  const ManifestTerms terms_;
  Director director_;

  std::mutex world_mutex_;  // guards serial_, world_ and roots_
  std::vector<Bytes> roots_;
  uint64_t serial_ = 1;
  std::shared_ptr<const World> world_;
  BoundedCache<std::string, Held> held_;
  // One row of numbers for all devices, so that one who was forgotten is not told an old one.
  std::atomic<uint64_t> generations_ = 0;
};

}  // namespace sallyport::server
