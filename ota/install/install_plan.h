// InstallPlan: what to put into the inactive slot. Only ota/metadata makes one, after both
// repositories agreed on the release (docs/protocol.md, Release and Director) or a bundle was
// verified (docs/operations/usb-update.md), so unverified bytes cannot reach the installer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ota/measure/capsule.h"
#include "ota/measure/verity.h"
#include "pki/base/digest.h"
#include "pki/base/time.h"
#include "pki/crypto/content_seal.h"

namespace sallyport::ota {

// RemoteFile names one target of the image repository and what its bytes must be.
struct RemoteFile {
  std::string path;
  uint64_t length;
  Sha256Digest sha256;
  bool operator==(const RemoteFile&) const = default;
};

// RemoteComponent goes with the image (ota/metadata/release.h, ReleaseComponent).
struct RemoteComponent {
  std::string name;
  RemoteFile file;
  std::optional<FirmwareVersion> firmware;  // of a capsule
};

// RemoteDelta is another way to the image, for a running slot that holds the image of the release
// `from`.
struct RemoteDelta {
  ReleaseDigest from;
  uint64_t from_length;
  Sha256Digest from_sha256;
  RemoteFile index;
  RemoteFile payload;
};

// RemoteChunks is a third way, for a running slot that holds any image.
struct RemoteChunks {
  RemoteFile index;
  RemoteFile payload;
};

// InstallFacts are the fields of one release.json that the installer acts on.
struct InstallFacts {
  ReleaseDigest release;
  std::string product;
  std::string version;
  uint64_t rollback_index;
  bool security_floor;    // raise the monotonic floor to rollback_index after the commit
  uint64_t image_length;  // of the decoded slot image, bytes
  Sha256Digest image_sha256;
  RemoteFile uki;
  RemoteFile index;  // segment table of the payload
  RemoteFile payload;
  std::vector<RemoteComponent> components = {};
  std::vector<RemoteDelta> deltas = {};
  std::optional<RemoteChunks> chunks = {};
  std::optional<VerityTree> verity = {};              // of the image
  std::optional<UnixTime> install_by = {};            // signed security deadline (docs/updates.md)
  std::optional<pki::ContentKeyId> content_key = {};  // of a sealed release
};

// LocalCommit says whether a device may commit the release by its own health when no server has
// judged its boot: only a signed bundle allows it.
enum class LocalCommit : uint8_t { kRefused, kAllowed };

// PlanOrigin says whose order a plan is: the server's, which may come to any device at any time, or
// that of somebody who came to this one with a bundle.
enum class PlanOrigin : uint8_t { kAssigned, kBrought };

// InstallPlan is proof that the facts come from a verified release assigned to this device.
// Immutable; copies are independent; thread-safe.
class InstallPlan {
 public:
  const InstallFacts& facts() const { return facts_; }
  LocalCommit local_commit() const { return local_commit_; }
  PlanOrigin origin() const { return origin_; }

 private:
  friend class InstallPlanMaker;    // ota/metadata/install_plan_maker.h
  friend class InstallPlanForTest;  // tests/fakes/install_plan_for_test.h
  InstallPlan(InstallFacts facts, LocalCommit local_commit, PlanOrigin origin)
      : facts_(std::move(facts)), local_commit_(local_commit), origin_(origin) {}
  InstallFacts facts_;
  LocalCommit local_commit_;
  PlanOrigin origin_;
};

}  // namespace sallyport::ota
