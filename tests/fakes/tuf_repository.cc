#include "tests/fakes/tuf_repository.h"

#include <algorithm>

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

pki::PrivateKey NewKey() { return pki::PrivateKey::Generate(pki::KeyType::kEd25519).value(); }

JsonValue KeysJson(const std::vector<const std::vector<pki::PrivateKey>*>& lists) {
  std::map<std::string, JsonValue> keys;
  for (const auto* list : lists)
    for (const auto& key : *list)
      keys.insert_or_assign(KeyId(key.public_key()), KeyToJson(key.public_key()));
  std::vector<JsonMember> members;
  for (auto& [id, key] : keys) members.push_back({id, key});
  return JsonValue::Object(std::move(members));
}

JsonValue KeyIds(const std::vector<pki::PrivateKey>& keys) {
  std::vector<std::string> ids;
  for (const auto& key : keys) ids.push_back(KeyId(key.public_key()));
  return JsonValue::Strings(ids);
}

}  // namespace

JsonValue WithMember(const JsonValue& object, const std::vector<std::string>& path,
                     JsonValue value) {
  std::vector<JsonMember> members =
      object.if_object() != nullptr ? *object.if_object() : std::vector<JsonMember>{};
  const auto at = std::ranges::find(members, path.front(), &JsonMember::key);
  if (path.size() > 1) {
    const JsonValue inner = at != members.end() ? at->value : JsonValue::Object({});
    value = WithMember(inner, {path.begin() + 1, path.end()}, std::move(value));
  }
  if (at != members.end()) {
    at->value = std::move(value);
  } else {
    members.push_back({path.front(), std::move(value)});
  }
  return JsonValue::Object(std::move(members));
}

TufRepository::TufRepository(UnixTime now, std::string trust_domain)
    : trust_domain_(std::move(trust_domain)) {
  for (const char* name : {"root", "timestamp", "snapshot", "targets"}) {
    FakeRole& fake = roles_[name];
    fake.expires = now + Days(1);
    fake.keys.push_back(NewKey());
  }
  targets_["targets"] = {};
  PublishRoot();
  Publish();
}

void TufRepository::Delegate(const std::string& parent, FakeDelegation delegation,
                             size_t threshold) {
  FakeRole& fake = roles_[delegation.role];
  fake.expires = roles_["root"].expires;
  fake.threshold = static_cast<int64_t>(threshold);
  while (fake.keys.size() < threshold) fake.keys.push_back(NewKey());
  targets_[delegation.role];
  delegations_[parent].push_back(std::move(delegation));
}

void TufRepository::RotateKeys(const std::string& name, size_t keys) {
  roles_[name].keys.clear();
  while (roles_[name].keys.size() < keys) roles_[name].keys.push_back(NewKey());
}

Bytes TufRepository::Sign(const JsonValue& body, const std::vector<pki::PrivateKey>& keys) {
  std::vector<JsonValue> signatures;
  const std::string canonical = CanonicalJson(body);
  for (const auto& key : keys) {
    signatures.push_back(
        JsonValue::Object({{"keyid", KeyId(key.public_key())},
                           {"sig", HexEncode(key.Sign(AsBytes(canonical)).value())}}));
  }
  return ToBytes(WriteJson(JsonValue::Object(
      {{"signed", body}, {"signatures", JsonValue::Array(std::move(signatures))}})));
}

JsonValue TufRepository::RootBody() const {
  std::vector<JsonMember> roles;
  std::vector<const std::vector<pki::PrivateKey>*> keys;
  for (const char* name : {"root", "timestamp", "snapshot", "targets"}) {
    const FakeRole& fake = roles_.at(name);
    keys.push_back(&fake.keys);
    roles.push_back(
        {name, JsonValue::Object({{"keyids", KeyIds(fake.keys)}, {"threshold", fake.threshold}})});
  }
  std::vector<JsonMember> body = {{"consistent_snapshot", consistent_},
                                  {"keys", KeysJson(keys)},
                                  {"roles", JsonValue::Object(std::move(roles))}};
  if (!trust_domain_.empty()) {
    body.push_back({"sallyport", JsonValue::Object({{"development", development_},
                                                    {"trust_domain", trust_domain_}})});
  }
  return JsonValue::Object(std::move(body));
}

JsonValue TufRepository::DelegationsOf(const std::string& name) const {
  std::vector<const std::vector<pki::PrivateKey>*> keys;
  std::vector<JsonValue> roles;
  for (const FakeDelegation& delegation : delegations_.at(name)) {
    const FakeRole& fake = roles_.at(delegation.role);
    keys.push_back(&fake.keys);
    JsonMember paths =
        delegation.hash_prefixes.empty()
            ? JsonMember{"paths", JsonValue::Strings(delegation.paths)}
            : JsonMember{"path_hash_prefixes", JsonValue::Strings(delegation.hash_prefixes)};
    roles.push_back(JsonValue::Object({{"name", delegation.role},
                                       {"keyids", KeyIds(fake.keys)},
                                       {"threshold", fake.threshold},
                                       {"terminating", delegation.terminating},
                                       std::move(paths)}));
  }
  return JsonValue::Object(
      {{"keys", KeysJson(keys)}, {"roles", JsonValue::Array(std::move(roles))}});
}

JsonValue TufRepository::TargetsBody(const std::string& name) {
  std::vector<JsonMember> files;
  for (const auto& [path, target] : targets_[name]) {
    const std::string digest = HexEncode(pki::Sha256(target.content));
    std::vector<JsonMember> file = {{"length", target.content.size()},
                                    {"hashes", JsonValue::Object({{"sha256", digest}})}};
    if (target.custom.if_object() != nullptr) file.push_back({"custom", target.custom});
    files.push_back({path, JsonValue::Object(std::move(file))});
    served_targets[consistent_ ? ConsistentPath(path, digest) : path] = target.content;
  }
  std::vector<JsonMember> body = {{"targets", JsonValue::Object(std::move(files))}};
  if (delegations_.contains(name)) body.push_back({"delegations", DelegationsOf(name)});
  if (name == "targets" && statement_.if_object() != nullptr)
    body.push_back({"sallyport", statement_});
  return JsonValue::Object(std::move(body));
}

Bytes TufRepository::MakeRole(const std::string& name, JsonValue body) {
  const FakeRole& fake = roles_.at(name);
  const bool top = name == "root" || name == "timestamp" || name == "snapshot";
  body = WithMember(body, {"_type"}, top ? name : "targets");
  body = WithMember(body, {"spec_version"}, "1.0.31");
  body = WithMember(body, {"version"}, fake.version);
  body = WithMember(body, {"expires"}, FormatRfc3339(fake.expires));
  if (edit) edit(name, body);
  std::vector<pki::PrivateKey> signers = fake.keys;
  if (name == "root") {
    for (const auto& key : previous_root_keys_) {
      const auto same = [&](const auto& other) {
        return other.public_key().spki() == key.public_key().spki();
      };
      if (std::ranges::none_of(signers, same)) signers.push_back(key);
    }
  }
  return Sign(body, signers);
}

void TufRepository::Store(const std::string& name, Bytes bytes) {
  current_[name] = bytes;
  const std::string file = RoleFileName(name) + ".json";
  const bool plain = name == "timestamp" || (!consistent_ && name != "root");
  metadata[plain ? file : std::to_string(roles_[name].version) + "." + file] = std::move(bytes);
}

void TufRepository::PublishRoot() {
  Store("root", MakeRole("root", RootBody()));
  previous_root_keys_ = roles_["root"].keys;
}

JsonValue TufRepository::MetaEntry(const std::string& name) const {
  const Bytes& bytes = current_.at(name);
  return JsonValue::Object(
      {{"version", roles_.at(name).version},
       {"length", bytes.size()},
       {"hashes", JsonValue::Object({{"sha256", HexEncode(pki::Sha256(bytes))}})}});
}

void TufRepository::Publish() {
  std::vector<JsonMember> meta;
  for (const auto& [name, files] : targets_) {
    Store(name, MakeRole(name, TargetsBody(name)));
    if (roles_[name].listed) meta.push_back({name + ".json", MetaEntry(name)});
  }
  Store("snapshot",
        MakeRole("snapshot", JsonValue::Object({{"meta", JsonValue::Object(std::move(meta))}})));
  JsonValue entry = JsonValue::Object({{"snapshot.json", MetaEntry("snapshot")}});
  Store("timestamp", MakeRole("timestamp", JsonValue::Object({{"meta", std::move(entry)}})));
}

void TufRepository::PublishNext() {
  for (auto& [name, fake] : roles_) {
    if (name != "root") ++fake.version;
  }
  Publish();
}

DeviceManifest TufRepository::Manifest(Bytes slice) const {
  DeviceManifest out;
  for (int64_t version = 1; version <= roles_.at("root").version; ++version)
    out.root_chain.push_back(metadata.at(std::to_string(version) + ".root.json"));
  out.timestamp = current_.at("timestamp");
  out.snapshot = current_.at("snapshot");
  out.targets = current_.at("targets");
  out.slice = std::move(slice);
  return out;
}

Result<Bytes> TufRepository::FetchMetadata(const std::string& file, uint64_t size_max) {
  fetched.push_back(file);
  const auto at = metadata.find(file);
  if (at == metadata.end()) return Error{Reason::kNotFound, file};
  if (at->second.size() > size_max) return Error{Reason::kTooLarge, file, "fetch.size"};
  return at->second;
}

Result<Bytes> TufRepository::FetchTarget(const std::string& path, uint64_t size_max) {
  fetched.push_back(path);
  const auto at = served_targets.find(path);
  if (at == served_targets.end()) return Error{Reason::kNotFound, path};
  if (at->second.size() > size_max) return Error{Reason::kTooLarge, path, "fetch.size"};
  return at->second;
}

Release AddSampleRelease(TufRepository& image, const std::string& version_text,
                         uint64_t rollback_index) {
  const ReleaseVersion version = ReleaseVersion::Parse(version_text).value();
  const std::string directory = ReleaseDirectory("edge-os", version);
  const auto file = [&](const std::string& name, const std::string& content) {
    image.targets()[directory + "/" + name].content = ToBytes(content);
    return ReleaseFile{directory + "/" + name, content.size(), pki::Sha256(AsBytes(content))};
  };
  const Sha256Digest event = pki::Sha256(AsBytes("uki " + version_text));
  Release release{"edge-os",
                  version,
                  {"virtual-x86_64"},
                  ReleaseVersion::Parse("1.0.0").value(),
                  rollback_index,
                  false,
                  file("uki.efi", "uki " + version_text),
                  {8192, pki::Sha256(AsBytes("image")), file("index.json", "index"),
                   file("payload.bin", "payload")},
                  {{event}, {event}, {}}};
  release.install_by = UnixTime::FromSeconds(1'800'000'000);
  image.targets()[directory + "/release.json"] = {ToBytes(WriteRelease(release)),
                                                  ReleaseCustom(release)};
  return release;
}

}  // namespace sallyport::ota
