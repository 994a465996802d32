#include "attestation-server/director/director.h"

#include "ota/metadata/uptane.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

constexpr int64_t kBucketsPerLease = 8;

// The key holds all that the documents say but their version.
Sha256Digest CacheKey(const Assignment& assignment, UnixTime expires) {
  ByteWriter key;
  key.Sized32(AsBytes(assignment.device_id)).BigU64(static_cast<uint64_t>(expires.ms));
  key.Raw(pki::Sha256(assignment.slice).view()).U8(assignment.slice.empty() ? 0 : 1);
  if (assignment.release) {
    const AssignedRelease& release = *assignment.release;
    key.Sized32(AsBytes(release.path)).BigU64(release.length).Raw(release.sha256.view());
    key.Sized32(AsBytes(CanonicalJson(release.custom))).Sized32(AsBytes(release.rollout));
  }
  return pki::Sha256(key.bytes());
}

ota::TargetFiles TargetsOf(const DirectorOrder& order) {
  ota::TargetFiles out;
  if (order.release) {
    const AssignedRelease& release = *order.release;
    out.emplace(
        release.path,
        ota::TargetFile{release.length, ota::Digests::FromSha256(release.sha256), release.custom});
  }
  if (order.slice) {
    out.emplace(ota::kSliceTargetPath,
                ota::TargetFile{*order.slice->length, *order.slice->digests,
                                JsonValue::Object({{"kind", "policy-slice"}})});
  }
  return out;
}

}  // namespace

Result<AssignedRelease> AssignRelease(ByteView release_json, std::string rollout) {
  SP_TRY(const ota::Release release, ota::ParseRelease(release_json));
  return AssignedRelease{ota::ReleaseDirectory(release.product, release.version) + "/release.json",
                         release_json.size(), pki::Sha256(release_json),
                         ota::ReleaseCustom(release), std::move(rollout)};
}

LocalDirectorSigner::LocalDirectorSigner(std::string trust_domain, pki::PrivateKey targets,
                                         pki::PrivateKey snapshot, pki::PrivateKey timestamp)
    : trust_domain_(std::move(trust_domain)),
      targets_(std::move(targets)),
      snapshot_(std::move(snapshot)),
      timestamp_(std::move(timestamp)) {}

Result<DirectorMetadata> LocalDirectorSigner::SignDirector(const DirectorOrder& order) {
  const uint64_t version = order.version();
  JsonValue statement =
      JsonValue::Object({{"device", order.device_id},
                         {"trust_domain", trust_domain_},
                         {"incarnation", order.incarnation},
                         {"rollout", order.release ? order.release->rollout : std::string()}});
  const JsonValue targets = ota::TargetsBody({.version = version,
                                              .expires = order.expires,
                                              .targets = TargetsOf(order),
                                              .delegations = {},
                                              .sallyport = std::move(statement)});
  DirectorMetadata out;
  SP_TRY(out.targets, ota::WriteSigned(targets, {&targets_}));
  const JsonValue snapshot = ota::SnapshotBody(
      version, order.expires, {{"targets", ota::MetaFileOf(version, out.targets)}});
  SP_TRY(out.snapshot, ota::WriteSigned(snapshot, {&snapshot_}));
  const JsonValue timestamp =
      ota::TimestampBody(version, order.expires, ota::MetaFileOf(version, out.snapshot));
  SP_TRY(out.timestamp, ota::WriteSigned(timestamp, {&timestamp_}));
  return out;
}

Director::Director(DirectorSigner& signer, NextVersion next_version, Duration lease,
                   size_t entries_max)
    : signer_(signer),
      next_version_(std::move(next_version)),
      lease_(lease),
      entries_(entries_max) {
  SP_CHECK(lease.ms >= kBucketsPerLease * 1000 && entries_max > 0);
}

Result<DirectorMetadata> Director::MetadataFor(const Assignment& assignment, UnixTime now) {
  const int64_t bucket_ms = lease_.ms / kBucketsPerLease;
  const UnixTime expires = UnixTime{now.ms / bucket_ms * bucket_ms} + lease_;
  const Sha256Digest key = CacheKey(assignment, expires);
  if (const auto kept = entries_.Find(assignment.device_id); kept && kept->key == key)
    return kept->metadata;
  SP_TRY(const Version version, next_version_(assignment.device_id));
  DirectorOrder order{assignment.device_id, version.incarnation, version.counter, expires,
                      assignment.release,   std::nullopt};
  if (!assignment.slice.empty()) order.slice = ota::MetaFileOf(0, assignment.slice);
  SP_TRY(DirectorMetadata metadata, signer_.SignDirector(order));
  metadata.version = order.version();
  entries_.Put(assignment.device_id, std::make_shared<const Entry>(Entry{key, metadata}));
  return metadata;
}

void Director::Forget(const std::string& device_id) { entries_.Erase(device_id); }

}  // namespace sallyport::server
