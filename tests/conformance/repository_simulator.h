// RepositorySimulator is a TUF repository under the control of a test, with the freedoms that the
// public conformance suite takes: every role has a version, keys and signers of its own, nothing
// keeps them consistent, and every version that was ever published stays available. It writes its
// JSON itself, with keys of any type, so that no code of the product judges itself.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ota/metadata/client.h"
#include "pki/crypto/signature.h"

namespace sallyport::ota {

class RepositorySimulator final : public Fetcher {
 public:
  struct Key {
    std::string id;
    pki::PrivateKey secret;
    JsonValue json;
  };
  struct Role {
    std::vector<Key> keys;     // listed by root (delegated roles: by the delegation)
    std::vector<Key> signers;  // that sign the next publication
    int64_t threshold = 1;
    int64_t version = 1;
    UnixTime expires;
  };
  struct Delegation {
    std::string role;
    std::vector<std::string> paths;
    bool terminating = false;
    std::vector<std::string> hash_prefixes = {};
    std::vector<Key> keys = {};
    int64_t threshold = 1;
  };
  struct Artifact {
    Bytes content;
    JsonValue description;
  };

  // The four roles with one P-256 key each, published once as version 1, valid for 30 days.
  explicit RepositorySimulator(UnixTime now);

  // NewKey makes a key as TUF writes it; `extra` members go into its JSON. Its id is not its
  // digest: ids are opaque names.
  Key NewKey(pki::KeyType type = pki::KeyType::kP256, std::vector<JsonMember> extra = {});
  // AddKey lists a key for a top-level role and lets it sign.
  void AddKey(const std::string& role, const Key& key);
  void RotateKeys(const std::string& role);
  // AddDelegation gives the delegated role one more new key.
  void AddDelegation(const std::string& delegator, Delegation delegation);
  void AddArtifact(const std::string& role, const std::string& path, std::string_view content,
                   const std::vector<std::string>& algorithms = {"sha256"});
  // Publish signs each role anew, one version higher unless none was published, and enters it in
  // snapshot and timestamp.
  void Publish(const std::vector<std::string>& roles);
  // Unpublish withdraws every version of a role; the next publication is version 1.
  void Unpublish(const std::string& role);
  static JsonValue Description(ByteView content, const std::vector<std::string>& algorithms);
  static JsonValue Meta(int64_t version) { return JsonValue::Object({{"version", version}}); }

  std::map<std::string, Role> roles;
  std::map<std::string, std::vector<Delegation>> delegations;
  std::map<std::string, std::map<std::string, JsonValue>> targets;  // by role, then by path
  std::map<std::string, JsonValue> snapshot_meta;                   // by role
  JsonValue timestamp_meta;
  std::map<std::string, Artifact> artifacts;            // what is served, whatever is signed
  std::map<std::string, std::vector<Bytes>> published;  // by role; change it to attack
  bool metadata_hashes = false;
  bool consistent_snapshot = true;
  std::function<void(const std::string& role, JsonValue& body)> edit;  // before each signature

  // Requests: `root 2`, `timestamp`, `A 1` with the role name as it came; and artifact paths.
  std::vector<std::string> metadata_requests;
  std::vector<std::string> artifact_requests;
  // Get answers a URL path as it came, `metadata/...` or `targets/...`.
  std::optional<Bytes> Get(const std::string& path);

  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override;
  Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) override;

 private:
  std::optional<Bytes> GetMetadata(const std::string& name);
  std::optional<Bytes> GetArtifact(const std::string& path);
  JsonValue RootBody() const;
  JsonValue TargetsBody(const std::string& role) const;
  JsonValue DelegationsOf(const std::string& role) const;
  JsonValue Body(const std::string& role) const;
  Bytes SignedBytes(const std::string& role);

  UnixTime expires_;
  int next_key_ = 0;
};

}  // namespace sallyport::ota
