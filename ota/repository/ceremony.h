// The ceremony that founds update trust: every TUF key of the product, the image repository with
// its first root and targets (which delegate `policy`), and the first root of the director.
#pragma once

#include "ota/repository/publish.h"
#include "pki/crypto/key_wrap.h"

namespace sallyport::ota {

struct CeremonyOptions {
  std::string trust_domain;
  bool development = false;
  // Signatures needed from people: root `threshold` of threshold+1 keys, targets and policy
  // `threshold` of `threshold`. 1 only in development (then one key each).
  size_t threshold = 2;
  Duration root_lifetime = Days(365);
  Duration targets_lifetime = Days(365);
  OnlineLifetimes online = {};
  std::string offline_passphrase = {};  // empty: not sealed
  std::string online_passphrase = {};
  pki::KdfParams offline_kdf = {};
  // Cheaper when the online secret is random bytes of a machine rather than a person's sentence.
  pki::KdfParams online_kdf = {};
};

// FoundUpdateTrust writes
//   <keys>/offline/{root-N,targets-N,policy-N}.pem[.pub]   take these off the machine
//   <keys>/online/{image-snapshot,image-timestamp,director-targets,director-snapshot,director-timestamp}.pem[.pub]
//   <repository>/metadata/...                              the published image repository, no
//   release yet <repository>/director/1.root.json
// kPolicyDenied, rule ceremony.threshold, for threshold 1 outside development; kAlreadyExists when
// a repository is there.
Result<Unit> FoundUpdateTrust(FileSystem& files, const std::string& keys,
                              const std::string& repository, const CeremonyOptions& options,
                              UnixTime now);

// File names below <keys>/online and <keys>/offline.
inline constexpr std::string_view kImageSnapshotKey = "online/image-snapshot.pem";
inline constexpr std::string_view kImageTimestampKey = "online/image-timestamp.pem";
inline constexpr std::string_view kDirectorTargetsKey = "online/director-targets.pem";
inline constexpr std::string_view kDirectorSnapshotKey = "online/director-snapshot.pem";
inline constexpr std::string_view kDirectorTimestampKey = "online/director-timestamp.pem";

// LoadOnlineKeys loads the two online keys of the image repository.
Result<OnlineKeys> LoadOnlineKeys(FileSystem& files, const std::string& keys,
                                  std::string_view passphrase);

}  // namespace sallyport::ota
