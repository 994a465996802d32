#include "tests/conformance/repository_simulator.h"

#include <algorithm>

#include "pki/crypto/hash.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kMetadata = "metadata/";
constexpr std::string_view kTargets = "targets/";
constexpr std::string_view kJson = ".json";
constexpr Duration kLifetime = Days(30);
constexpr size_t kEd25519Size = 32;

const char* const kTop[] = {"root", "timestamp", "snapshot", "targets"};

JsonValue KeyJson(const pki::PublicKey& key, std::vector<JsonMember> members) {
  std::string keytype = "ecdsa", scheme = "ecdsa-sha2-nistp256", value = key.ToPem();
  if (key.type() == pki::KeyType::kEd25519) {
    keytype = scheme = "ed25519";
    value = HexEncode(ByteView(key.spki()).last(kEd25519Size));
  } else if (key.type() == pki::KeyType::kRsa) {
    keytype = "rsa";
    scheme = "rsassa-pss-sha256";
  }
  members.push_back({"keytype", keytype});
  members.push_back({"scheme", scheme});
  members.push_back({"keyval", JsonValue::Object({{"public", value}})});
  return JsonValue::Object(std::move(members));
}

JsonValue Ids(const std::vector<RepositorySimulator::Key>& keys) {
  std::vector<std::string> ids;
  for (const auto& key : keys) ids.push_back(key.id);
  return JsonValue::Strings(ids);
}

void Collect(const std::vector<RepositorySimulator::Key>& keys,
             std::map<std::string, JsonValue>& out) {
  for (const auto& key : keys) out.insert_or_assign(key.id, key.json);
}

JsonValue AsObject(const std::map<std::string, JsonValue>& entries, std::string_view suffix = "") {
  std::vector<JsonMember> members;
  for (const auto& [name, value] : entries) members.push_back({name + std::string(suffix), value});
  return JsonValue::Object(std::move(members));
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const auto byte = HexDecode(text.substr(i + 1, 2));
    if (!byte || byte->size() != 1) return std::nullopt;
    out.push_back(static_cast<char>((*byte)[0]));
    i += 2;
  }
  return out;
}

// Serialised with blanks, as no writer of ours does.
Bytes Document(const JsonValue& body, const std::vector<RepositorySimulator::Key>& signers) {
  const std::string canonical = CanonicalJson(body);
  std::vector<JsonValue> signatures;
  for (const auto& signer : signers) {
    signatures.push_back(
        JsonValue::Object({{"keyid", signer.id},
                           {"sig", HexEncode(signer.secret.Sign(AsBytes(canonical)).value())}}));
  }
  return ToBytes("{ \"signatures\": " + WriteJson(JsonValue::Array(std::move(signatures))) +
                 ",\n  \"signed\": " + WriteJson(body) + "\n}");
}

}  // namespace

RepositorySimulator::RepositorySimulator(UnixTime now) : expires_(now + kLifetime) {
  for (const char* name : kTop) {
    roles[name].expires = expires_;
    AddKey(name, NewKey());
  }
  Publish({"targets", "snapshot", "timestamp", "root"});
}

RepositorySimulator::Key RepositorySimulator::NewKey(pki::KeyType type,
                                                     std::vector<JsonMember> extra) {
  pki::PrivateKey secret = pki::PrivateKey::Generate(type).value();
  JsonValue json = KeyJson(secret.public_key(), std::move(extra));
  return {"key-" + std::to_string(next_key_++), std::move(secret), std::move(json)};
}

void RepositorySimulator::AddKey(const std::string& role, const Key& key) {
  roles[role].keys.push_back(key);
  roles[role].signers.push_back(key);
}

void RepositorySimulator::RotateKeys(const std::string& role) {
  roles[role].keys.clear();
  roles[role].signers.clear();
  for (int64_t i = 0; i < roles[role].threshold; ++i) AddKey(role, NewKey());
}

void RepositorySimulator::AddDelegation(const std::string& delegator, Delegation delegation) {
  const Key key = NewKey();
  Role& role = roles[delegation.role];
  role.expires = expires_;
  role.signers.push_back(key);
  targets[delegation.role];
  delegation.keys.push_back(key);
  delegations[delegator].push_back(std::move(delegation));
}

JsonValue RepositorySimulator::Description(ByteView content,
                                           const std::vector<std::string>& algorithms) {
  std::vector<JsonMember> hashes;
  for (const std::string& name : algorithms) {
    const bool is_256 = name == "sha256";
    const Bytes digest =
        pki::Hash(is_256 ? pki::HashAlgorithm::kSha256 : pki::HashAlgorithm::kSha512, {content});
    hashes.push_back({name, HexEncode(digest)});
  }
  return JsonValue::Object(
      {{"length", content.size()}, {"hashes", JsonValue::Object(std::move(hashes))}});
}

void RepositorySimulator::AddArtifact(const std::string& role, const std::string& path,
                                      std::string_view content,
                                      const std::vector<std::string>& algorithms) {
  const JsonValue description = Description(AsBytes(content), algorithms);
  targets[role].insert_or_assign(path, description);
  artifacts.insert_or_assign(path, Artifact{ToBytes(content), description});
}

JsonValue RepositorySimulator::RootBody() const {
  std::map<std::string, JsonValue> keys;
  std::vector<JsonMember> entries;
  for (const char* name : kTop) {
    const Role& role = roles.at(name);
    Collect(role.keys, keys);
    entries.push_back(
        {name, JsonValue::Object({{"keyids", Ids(role.keys)}, {"threshold", role.threshold}})});
  }
  return JsonValue::Object({{"consistent_snapshot", consistent_snapshot},
                            {"keys", AsObject(keys)},
                            {"roles", JsonValue::Object(std::move(entries))}});
}

JsonValue RepositorySimulator::DelegationsOf(const std::string& role) const {
  std::map<std::string, JsonValue> keys;
  std::vector<JsonValue> list;
  for (const Delegation& delegation : delegations.at(role)) {
    Collect(delegation.keys, keys);
    JsonMember paths =
        delegation.hash_prefixes.empty()
            ? JsonMember{"paths", JsonValue::Strings(delegation.paths)}
            : JsonMember{"path_hash_prefixes", JsonValue::Strings(delegation.hash_prefixes)};
    list.push_back(JsonValue::Object({{"name", delegation.role},
                                      {"keyids", Ids(delegation.keys)},
                                      {"threshold", delegation.threshold},
                                      {"terminating", delegation.terminating},
                                      std::move(paths)}));
  }
  return JsonValue::Object(
      {{"keys", AsObject(keys)}, {"roles", JsonValue::Array(std::move(list))}});
}

JsonValue RepositorySimulator::TargetsBody(const std::string& role) const {
  const auto files = targets.find(role);
  JsonValue list = files == targets.end() ? JsonValue::Object({}) : AsObject(files->second);
  std::vector<JsonMember> body = {{"targets", std::move(list)}};
  if (delegations.contains(role)) body.push_back({"delegations", DelegationsOf(role)});
  return JsonValue::Object(std::move(body));
}

JsonValue RepositorySimulator::Body(const std::string& role) const {
  if (role == "root") return RootBody();
  if (role == "snapshot") return JsonValue::Object({{"meta", AsObject(snapshot_meta, kJson)}});
  if (role == "timestamp")
    return JsonValue::Object({{"meta", JsonValue::Object({{"snapshot.json", timestamp_meta}})}});
  return TargetsBody(role);
}

Bytes RepositorySimulator::SignedBytes(const std::string& name) {
  const Role& role = roles.at(name);
  const bool top = name == "root" || name == "snapshot" || name == "timestamp";
  JsonValue body = Body(name);
  body = WithMember(body, {"_type"}, top ? name : "targets");
  body = WithMember(body, {"spec_version"}, "1.0.31");
  body = WithMember(body, {"version"}, role.version);
  body = WithMember(body, {"expires"}, FormatRfc3339(role.expires));
  if (edit) edit(name, body);
  return Document(body, role.signers);
}

void RepositorySimulator::Publish(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    Role& role = roles.at(name);
    if (published.contains(name)) ++role.version;
    const Bytes& bytes = published[name].emplace_back(SignedBytes(name));
    JsonValue meta = metadata_hashes ? Description(bytes, {"sha256"}) : JsonValue::Object({});
    meta = WithMember(meta, {"version"}, role.version);
    if (name == "snapshot") {
      timestamp_meta = std::move(meta);
    } else if (name != "root" && name != "timestamp") {
      snapshot_meta.insert_or_assign(name, std::move(meta));
    }
  }
}

void RepositorySimulator::Unpublish(const std::string& role) {
  published.erase(role);
  roles.at(role).version = 1;
}

std::optional<Bytes> RepositorySimulator::GetMetadata(const std::string& name) {
  size_t version = 0;
  std::string role = name;
  if (name.find('.') != std::string::npos && name != "timestamp") {
    const size_t dot = name.find('.');
    const bool number = dot > 0 && std::all_of(name.begin(), name.begin() + static_cast<long>(dot),
                                               [](char c) { return c >= '0' && c <= '9'; });
    if (number) {
      version = std::stoul(name.substr(0, dot));
      role = name.substr(dot + 1);
    }
  }
  metadata_requests.push_back(version == 0 ? role : role + " " + std::to_string(version));
  const auto plain = PercentDecode(role);
  const auto at = plain ? published.find(*plain) : published.end();
  const bool prefixed = plain && *plain != "timestamp" && (*plain == "root" || consistent_snapshot);
  if (at == published.end() || prefixed != (version > 0)) return std::nullopt;
  if (version == 0) return at->second.back();
  if (version > at->second.size()) return std::nullopt;
  return at->second[version - 1];
}

std::optional<Bytes> RepositorySimulator::GetArtifact(const std::string& path) {
  artifact_requests.push_back(path);
  auto plain = PercentDecode(path);
  if (!plain) return std::nullopt;
  std::string digest;
  if (consistent_snapshot) {
    const size_t name = plain->rfind('/') == std::string::npos ? 0 : plain->rfind('/') + 1;
    const size_t dot = plain->find('.', name);
    if (dot == std::string::npos) return std::nullopt;
    digest = plain->substr(name, dot - name);
    plain->erase(name, dot + 1 - name);
  }
  const auto at = artifacts.find(*plain);
  if (at == artifacts.end()) return std::nullopt;
  const auto& hashes = *at->second.description.Find("hashes")->if_object();
  const bool known = std::ranges::any_of(
      hashes, [&](const JsonMember& hash) { return *hash.value.if_string() == digest; });
  if (consistent_snapshot && !known) return std::nullopt;
  return at->second.content;
}

std::optional<Bytes> RepositorySimulator::Get(const std::string& path) {
  if (path.starts_with(kMetadata) && path.ends_with(kJson))
    return GetMetadata(
        path.substr(kMetadata.size(), path.size() - kMetadata.size() - kJson.size()));
  if (path.starts_with(kTargets)) return GetArtifact(path.substr(kTargets.size()));
  return std::nullopt;
}

Result<Bytes> RepositorySimulator::FetchMetadata(const std::string& file, uint64_t size_max) {
  const auto bytes = Get(std::string(kMetadata) + file);
  if (!bytes) return Error{Reason::kNotFound, file};
  if (bytes->size() > size_max) return Error{Reason::kTooLarge, file, "fetch.size"};
  return *bytes;
}

Result<Bytes> RepositorySimulator::FetchTarget(const std::string& path, uint64_t size_max) {
  std::string encoded;
  for (const char c : path) encoded += c == '/' ? "/" : RoleFileName({&c, 1});
  const auto bytes = Get(std::string(kTargets) + encoded);
  if (!bytes) return Error{Reason::kNotFound, path};
  if (bytes->size() > size_max) return Error{Reason::kTooLarge, path, "fetch.size"};
  return *bytes;
}

}  // namespace sallyport::ota
