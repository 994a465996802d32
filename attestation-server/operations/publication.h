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

// PublicationOperations: thread-safe; publications run one at a time.
class PublicationOperations {
 public:
  struct Repository {
    FileSystem& files;
    std::string directory;  // the image repository
    std::string trust_domain;
    ota::OnlineKeys keys;
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

  // Renew signs the timestamp anew when a third of its life is left (and the snapshot); called by a
  // timer.
  Result<Unit> Renew(UnixTime now);

  // ApplyPolicy puts the published policy in force. `source` is the YAML it was made from: it must
  // lower to exactly the signed rules over today's inventory, and its tests and guardrails must
  // hold (kPolicyDenied "policy.review").
  Result<JsonValue> ApplyPolicy(const Operator& caller, ByteView source, UnixTime now);
  Result<JsonValue> ListPolicies(int64_t limit);

 private:
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
