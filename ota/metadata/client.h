// The shell around TrustedMetadata: fetches metadata, keeps what passed every check, and verifies
// it again at each start. Files in the directory are named as in TUF (root.json, timestamp.json,
// ...), stored as received and written atomically. One thread at a time; two processes must not
// share a directory.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ota/metadata/trusted_metadata.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// Fetcher is the seam to a repository. kNotFound when the file does not exist; kTooLarge as soon as
// more than `size_max` bytes come; kUnavailable otherwise. Whatever it returns is untrusted.
class Fetcher {
 public:
  virtual ~Fetcher() = default;
  // FetchMetadata takes a file name such as `3.root.json`; role names in it are percent-encoded
  // already.
  virtual Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) = 0;
  // FetchTarget takes a path such as `releases/os/2.0/<sha256>.release.json`, not encoded.
  virtual Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) = 0;
};

// RoleFileName percent-encodes everything but letters, digits and `_.-~`: a role name never becomes
// a path.
std::string RoleFileName(std::string_view role);
// ConsistentPath puts the digest before the file name of a target path (TUF 7).
std::string ConsistentPath(std::string_view path, std::string_view digest_hex);

class MetadataClient {
 public:
  MetadataClient(FileSystem& files, std::string directory, MetadataRules rules)
      : files_(files), directory_(std::move(directory)), rules_(std::move(rules)) {}

  // Initialise stores the first trusted root. kAlreadyExists when there is one.
  Result<Unit> Initialise(ByteView root);
  // Refresh runs TUF 5.1 to 5.6 for the top-level roles. kNotFound when not initialised.
  Result<TrustedMetadata> Refresh(Fetcher& fetcher, UnixTime now);

  // FindTarget loads the delegated roles it needs. kNotFound, rule tuf.unknown-target.
  struct Target {
    TargetFile file;
    std::string role;
  };
  Result<Target> FindTarget(TrustedMetadata& trusted, Fetcher& fetcher, std::string_view path);
  // Download fetches a target found before, at most `size_max` bytes, and checks length and
  // digests.
  Result<Bytes> Download(const TrustedMetadata& trusted, Fetcher& fetcher, std::string_view path,
                         const TargetFile& file, uint64_t size_max);
  // Draft is a client that goes on from what this one holds, and keeps what it accepts in memory
  // until Adopt. For a repository that is worth nothing unless more is shown than its metadata: one
  // that is refused later leaves no trace.
  MetadataClient Draft() const;
  // Adopt stores what a draft has accepted, in the order in which it was accepted: a cut leaves the
  // store as a refresh does that was cut.
  Result<Unit> Adopt();
  // Stored reads a role's file as it was received; kNotFound.
  Result<Bytes> Stored(std::string_view role, uint64_t size_max) const;

 private:
  std::string PathOf(std::string_view role) const;
  Result<Unit> Store(std::string_view role, ByteView bytes);
  Result<Unit> Forget(std::string_view role);
  Result<Unit> UpdateRoot(Fetcher& fetcher, TrustedMetadata& trusted);
  Result<Unit> UpdateTimestamp(Fetcher& fetcher, TrustedMetadata& trusted);
  Result<Unit> UpdateSnapshot(Fetcher& fetcher, TrustedMetadata& trusted);
  Result<Unit> UpdateTargets(Fetcher& fetcher, TrustedMetadata& trusted);
  Result<Unit> LoadDelegated(TrustedMetadata& trusted, Fetcher& fetcher,
                             const TrustedMetadata::RoleChain& chain);

  struct Change {
    std::string role;
    std::optional<Bytes> file;  // nullopt: forgotten
  };

  FileSystem& files_;
  std::string directory_;
  MetadataRules rules_;
  std::optional<std::vector<Change>> draft_;  // of a draft; later changes come later
};

}  // namespace sallyport::ota
