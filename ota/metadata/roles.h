// The typed contents of the TUF roles (TUF 1.0 section 4.3 to 4.6). Each is made only from a
// VerifiedBody, so a value of these types has been signed by its role. Unknown members are ignored,
// as TUF demands.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ota/metadata/document.h"
#include "pki/base/digest.h"
#include "pki/base/time.h"

namespace sallyport::ota {

enum class Role : uint8_t { kRoot, kTimestamp, kSnapshot, kTargets };
inline constexpr std::array kTopRoles = {Role::kRoot, Role::kTimestamp, Role::kSnapshot,
                                         Role::kTargets};
constexpr std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kRoot: return "root";
    case Role::kTimestamp: return "timestamp";
    case Role::kSnapshot: return "snapshot";
    case Role::kTargets: return "targets";
  }
  std::abort();
}

// Digests holds at least one digest that this program can compute (SHA-256, SHA-512).
class Digests {
 public:
  // Parse ignores other algorithms; rule tuf.no-digest when none is left.
  static Result<Digests> Parse(const JsonCursor& hashes);
  static Digests Of(ByteView bytes);
  static Digests FromSha256(const Sha256Digest& digest);

  // Check returns kMismatch, rule tuf.digest, unless every digest is that of `bytes`.
  Result<Unit> Check(ByteView bytes, std::string_view what) const;
  const std::optional<Sha256Digest>& sha256() const { return sha256_; }
  // PathPrefix is the hex digest that stands before the file name in a consistent snapshot.
  std::string PathPrefix() const;
  JsonValue ToJson() const;
  bool operator==(const Digests&) const = default;

 private:
  Digests() = default;
  std::optional<Sha256Digest> sha256_;
  std::optional<Bytes> sha512_;
};

// MetaFile describes one metadata file; TUF lets length and digests be absent, the version never.
struct MetaFile {
  uint64_t version;
  std::optional<uint64_t> length;
  std::optional<Digests> digests;
  bool operator==(const MetaFile&) const = default;
};

struct TargetFile {
  uint64_t length;
  Digests digests;
  JsonValue custom;  // null when absent
  // Check returns kMismatch (tuf.length, tuf.digest) unless `bytes` are this file.
  Result<Unit> Check(ByteView bytes, std::string_view what) const;
};

// RepositoryProfile is the `sallyport` member of our own root files.
struct RepositoryProfile {
  bool development;
  std::string trust_domain;
};

// Root, Timestamp, Snapshot, Targets: `Parse` returns kMalformed with tuf.wrong-type,
// tuf.spec-version, tuf.expires or the JSON rules.
struct Root {
  static Result<Root> Parse(const VerifiedBody& body);
  const RoleKeys& keys(Role role) const { return roles[static_cast<size_t>(role)]; }

  uint64_t version;
  UnixTime expires;
  bool consistent_snapshot;
  std::vector<RoleKeys> roles;  // one per Role, in its order
  std::optional<RepositoryProfile> profile;
};

struct Timestamp {
  static Result<Timestamp> Parse(const VerifiedBody& body);
  uint64_t version;
  UnixTime expires;
  MetaFile snapshot;
  Sha256Digest body_digest;
};

struct Snapshot {
  static Result<Snapshot> Parse(const VerifiedBody& body);
  // Find returns null for an unlisted role.
  const MetaFile* Find(std::string_view role) const;

  uint64_t version;
  UnixTime expires;
  std::map<std::string, MetaFile, std::less<>> roles;  // by role name, `targets` always among them
  Sha256Digest body_digest;
};

// Delegation hands the paths it matches to another role.
struct Delegation {
  struct Patterns {
    std::vector<std::string> globs;
  };
  struct HashPrefixes {
    std::vector<std::string> hex;  // of SHA-256(path), lower case
  };
  // Matches implements TUF 4.5: `*` and `?` never match '/'.
  bool Matches(std::string_view path) const;

  std::string name;
  RoleKeys keys;
  bool terminating;
  std::variant<Patterns, HashPrefixes> paths;
};

struct Targets {
  static Result<Targets> Parse(const VerifiedBody& body);
  const TargetFile* Find(std::string_view path) const;
  const Delegation* FindDelegation(std::string_view role) const;

  uint64_t version;
  UnixTime expires;
  std::map<std::string, TargetFile, std::less<>> targets;
  std::vector<Delegation> delegations;
  JsonValue sallyport;  // the extra member of a director's targets, null when absent
  Sha256Digest body_digest;
};

// GlobMatches compares one path with one pattern, component by component.
bool GlobMatches(std::string_view pattern, std::string_view path);

}  // namespace sallyport::ota
