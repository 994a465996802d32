// TufRepository is a repository in memory for tests of the metadata client: edit the contents,
// Publish, and serve them through the Fetcher; or break what is served. It builds its JSON itself,
// so that the writer of the product is not its own judge.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ota/metadata/client.h"
#include "ota/metadata/uptane.h"
#include "pki/base/time.h"

namespace sallyport::ota {

class TufRepository final : public Fetcher {
 public:
  struct FakeRole {
    std::vector<pki::PrivateKey> keys;
    int64_t threshold = 1;
    int64_t version = 1;
    UnixTime expires;
    bool listed = true;  // a delegated role that is not listed is missing from the snapshot
  };
  struct FakeTarget {
    Bytes content;
    JsonValue custom;
  };
  struct FakeDelegation {
    std::string role;
    std::vector<std::string> paths;
    bool terminating = false;
    std::vector<std::string> hash_prefixes = {};
  };

  // A repository of the four roles with one Ed25519 key each, published once; everything expires a
  // day after `now`. `trust_domain` empty: plain TUF without our profile.
  TufRepository(UnixTime now, std::string trust_domain);

  FakeRole& role(const std::string& name) { return roles_[name]; }
  std::map<std::string, FakeTarget>& targets(const std::string& role = "targets") {
    return targets_[role];
  }
  // Delegate adds a role with `threshold` fresh keys.
  void Delegate(const std::string& parent, FakeDelegation delegation, size_t threshold = 1);
  void RotateKeys(const std::string& role, size_t keys = 1);
  void set_development(bool development) { development_ = development; }
  void set_consistent_snapshot(bool consistent) { consistent_ = consistent; }
  // director: the `sallyport` member of the top-level targets.
  void set_statement(JsonValue statement) { statement_ = std::move(statement); }

  // PublishRoot signs root with its keys and `previous` ones; bump role("root").version first.
  void PublishRoot();
  // Publish signs targets, delegated roles, snapshot and timestamp with the versions they have.
  void Publish();
  // PublishNext raises the versions of targets, snapshot and timestamp, then publishes.
  void PublishNext();

  // What is served, by file name; change it to attack.
  std::map<std::string, Bytes> metadata;
  std::map<std::string, Bytes> served_targets;
  // Called before each body is signed: (role, signed). For wrong types, thresholds and so on.
  std::function<void(const std::string& role, JsonValue& body)> edit;
  std::vector<std::string> fetched;  // names asked for, in order

  // Sign makes a document of `body` with `keys`.
  static Bytes Sign(const JsonValue& body, const std::vector<pki::PrivateKey>& keys);
  Bytes SignedAs(const std::string& role, JsonValue body) const {
    return Sign(body, roles_.at(role).keys);
  }
  // CurrentRoot is the newest root.json.
  Bytes CurrentRoot() const {
    return metadata.at(std::to_string(roles_.at("root").version) + ".root.json");
  }
  // Manifest packs the current director metadata with every root from 1.
  DeviceManifest Manifest(Bytes slice) const;

  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override;
  Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) override;

 private:
  JsonValue RootBody() const;
  JsonValue TargetsBody(const std::string& role);
  JsonValue DelegationsOf(const std::string& role) const;
  Bytes MakeRole(const std::string& role, JsonValue body);
  void Store(const std::string& role, Bytes bytes);
  JsonValue MetaEntry(const std::string& role) const;

  std::string trust_domain_;
  bool development_ = false;
  bool consistent_ = true;
  JsonValue statement_;
  std::map<std::string, FakeRole> roles_;
  std::map<std::string, std::map<std::string, FakeTarget>> targets_;
  std::map<std::string, std::vector<FakeDelegation>> delegations_;
  std::vector<pki::PrivateKey> previous_root_keys_;
  std::map<std::string, Bytes> current_;  // newest file of each role
};

// WithMember returns `object` with `key` set to `value`, at a path of keys.
JsonValue WithMember(const JsonValue& object, const std::vector<std::string>& path,
                     JsonValue value);
// SampleRelease is a release of product `edge-os` with all its files as targets of `image`.
Release AddSampleRelease(TufRepository& image, const std::string& version, uint64_t rollback_index);

}  // namespace sallyport::ota
