// Publishing into the server's image repository, and what the server takes from it: releases,
// policy.
#pragma once

#include <functional>
#include <map>
#include <mutex>

#include "attestation-server/operations/operator.h"
#include "ota/repository/publish.h"
#include "pki/base/json.h"
#include "policies/language/zone_rule.h"

namespace sallyport::server {

inline constexpr uint64_t kUploadBytesMax = uint64_t{8} << 30;  // one payload; more is a mistake

// DirectorTrust is the director's side: the keys that it signs with, by role, and who is told of a
// new root.
struct DirectorTrust {
  pki::PublicKey targets;
  pki::PublicKey snapshot;
  pki::PublicKey timestamp;
  std::function<void(Bytes root)> add_root;
};

// PublicationOperations: thread-safe; publications run one at a time.
class PublicationOperations {
 public:
  struct Repository {
    FileSystem& files;
    std::string directory;  // the image repository
    std::string trust_domain;
    ota::OnlineKeys keys;
    DirectorTrust director;
  };
  PublicationOperations(OperationParts parts, Repository repository,
                        const policy::ZoneLookup& zones, std::function<void()> changed)
      : parts_(parts),
        repository_(std::move(repository)),
        zones_(zones),
        changed_(std::move(changed)) {}

  // UploadPath checks where an uploaded file may go: `staged/<role>.json` or `targets/...`, no
  // dots, no escapes; kInvalidArgument "publish.path". Returns the path below the repository
  // directory.
  Result<std::string> UploadPath(std::string_view relative) const;

  // Publish signs snapshot and timestamp over what is staged and records new releases. The reply
  // holds the published metadata, base64 by file name, for the operator's own copy.
  Result<JsonValue> Publish(const Operator& caller, UnixTime now);

  // PublishDirectorRoot takes version N+1 of the director's root, as a device would: signed by the
  // thresholds of N and of itself. It is durable before devices are told. Rules of
  // ota::PublishDirectorRoot; kAlreadyExists, director-root.held; kConflict, director-root.keys: it
  // does not name the online keys that this service signs with, so that no device would obey what
  // it makes.
  Result<JsonValue> PublishDirectorRoot(const Operator& caller, ByteView root, UnixTime now);

  // Renew signs the timestamp anew when a third of its life is left (and the snapshot); called by a
  // timer.
  Result<Unit> Renew(UnixTime now);

  // ApplyPolicy puts the published policy in force. `source` is the YAML it was made from: it must
  // lower to exactly the signed rules over today's inventory, and its tests and guardrails must
  // hold (kPolicyDenied "policy.review").
  Result<JsonValue> ApplyPolicy(const Operator& caller, ByteView source, UnixTime now);
  Result<JsonValue> ListPolicies(int64_t limit);

 private:
  Result<uint64_t> TakeDirectorRoot(ota::RepositoryFolder& folder, UnixTime now) const;
  Result<Bytes> PublishedTarget(std::string_view role, std::string_view path) const;
  Result<Unit> RecordReleases(const Operator& caller, UnixTime now);
  Result<JsonValue> PublishedMetadata() const;

  OperationParts parts_;
  Repository repository_;
  const policy::ZoneLookup& zones_;
  const std::function<void()> changed_;
  std::mutex publish_mutex_;  // the repository folder has one writer
};

}  // namespace sallyport::server
