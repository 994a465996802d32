// Writes the TUF documents that ota/metadata reads: bodies from typed contents, signatures added
// one by one. Output is deterministic. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ota/metadata/roles.h"

namespace sallyport::ota {

struct RoleSpec {
  std::vector<pki::PublicKey> keys;
  size_t threshold = 1;
};

// RootSpec is one version of a root.json of ours; consistent snapshots always.
struct RootSpec {
  uint64_t version = 1;
  UnixTime expires;
  RepositoryProfile profile;
  RoleSpec root, timestamp, snapshot, targets;
};

struct DelegationSpec {
  std::string name;
  RoleSpec role;
  std::vector<std::string> paths;
  bool terminating = false;
};

using TargetFiles = std::map<std::string, TargetFile, std::less<>>;

struct TargetsSpec {
  uint64_t version = 1;
  UnixTime expires;
  TargetFiles targets;
  JsonValue delegations;  // null for none; see DelegationsJson
  JsonValue sallyport;    // null for none: the director's statement
};

JsonValue RootBody(const RootSpec& spec);
JsonValue TargetsBody(const TargetsSpec& spec);
JsonValue SnapshotBody(uint64_t version, UnixTime expires,
                       const std::map<std::string, MetaFile, std::less<>>& roles);
JsonValue TimestampBody(uint64_t version, UnixTime expires, const MetaFile& snapshot);
JsonValue TargetsJson(const TargetFiles& targets);
JsonValue DelegationsJson(const std::vector<DelegationSpec>& delegations);
// WithMembers returns `object` with those members added or replaced.
JsonValue WithMembers(const JsonValue& object, std::vector<JsonMember> members);
// MetaFileOf describes `bytes` with length and SHA-256.
MetaFile MetaFileOf(uint64_t version, ByteView bytes);

// Signer is a private key with its key id, computed once.
struct Signer {
  explicit Signer(pki::PrivateKey private_key)
      : id(KeyId(private_key.public_key())), key(std::move(private_key)) {}
  std::string id;
  pki::PrivateKey key;
};
// WriteSigned makes a document of `body` with one signature per signer; none makes an unsigned
// draft.
Result<Bytes> WriteSigned(const JsonValue& body, const std::vector<const Signer*>& signers);
// AddSignature signs the body that `document` has, replacing an earlier signature of the same key.
// Other signatures stay as they are. kMalformed when it is no document.
Result<Bytes> AddSignature(ByteView document, const Signer& signer, uint64_t size_max);

}  // namespace sallyport::ota
