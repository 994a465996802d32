#include "ota/repository/document_writer.h"

#include <algorithm>

#include "ota/metadata/limits.h"

namespace sallyport::ota {
namespace {

constexpr std::string_view kSpecVersion = "1.0.34";

std::vector<JsonMember> Common(std::string_view type, uint64_t version, UnixTime expires) {
  return {{"_type", type},
          {"spec_version", kSpecVersion},
          {"version", version},
          {"expires", FormatRfc3339(expires)}};
}

void AddKeys(const RoleSpec& role, std::map<std::string, JsonValue>& keys) {
  for (const pki::PublicKey& key : role.keys) keys.insert_or_assign(KeyId(key), KeyToJson(key));
}

JsonValue KeysJson(const std::map<std::string, JsonValue>& keys) {
  std::vector<JsonMember> members;
  for (const auto& [id, key] : keys) members.push_back({id, key});
  return JsonValue::Object(std::move(members));
}

std::vector<JsonMember> RoleMembers(const RoleSpec& role) {
  std::vector<std::string> ids;
  for (const pki::PublicKey& key : role.keys) ids.push_back(KeyId(key));
  return {{"keyids", JsonValue::Strings(ids)}, {"threshold", role.threshold}};
}

JsonValue MetaFileJson(const MetaFile& file) {
  std::vector<JsonMember> members = {{"version", file.version}};
  if (file.length) members.push_back({"length", *file.length});
  if (file.digests) members.push_back({"hashes", file.digests->ToJson()});
  return JsonValue::Object(std::move(members));
}

JsonValue TargetFileJson(const TargetFile& file) {
  std::vector<JsonMember> members = {{"length", file.length}, {"hashes", file.digests.ToJson()}};
  if (file.custom.kind() != JsonValue::Kind::kNull) members.push_back({"custom", file.custom});
  return JsonValue::Object(std::move(members));
}

JsonValue Document(const JsonValue& body, std::vector<JsonValue> signatures) {
  return JsonValue::Object(
      {{"signed", body}, {"signatures", JsonValue::Array(std::move(signatures))}});
}

Result<JsonValue> SignatureOf(std::string_view canonical, const Signer& signer) {
  SP_TRY(const Bytes signature, signer.key.Sign(AsBytes(canonical)));
  return JsonValue::Object({{"keyid", signer.id}, {"sig", HexEncode(signature)}});
}

}  // namespace

JsonValue RootBody(const RootSpec& spec) {
  std::map<std::string, JsonValue> keys;
  std::vector<JsonMember> roles;
  for (const auto& [role, name] : {std::pair{&spec.root, Role::kRoot},
                                   {&spec.timestamp, Role::kTimestamp},
                                   {&spec.snapshot, Role::kSnapshot},
                                   {&spec.targets, Role::kTargets}}) {
    AddKeys(*role, keys);
    roles.push_back({std::string(RoleName(name)), JsonValue::Object(RoleMembers(*role))});
  }
  std::vector<JsonMember> body = Common("root", spec.version, spec.expires);
  body.push_back({"consistent_snapshot", true});
  body.push_back({"keys", KeysJson(keys)});
  body.push_back({"roles", JsonValue::Object(std::move(roles))});
  body.push_back({"sallyport", JsonValue::Object({{"development", spec.profile.development},
                                                  {"trust_domain", spec.profile.trust_domain}})});
  return JsonValue::Object(std::move(body));
}

JsonValue DelegationsJson(const std::vector<DelegationSpec>& delegations) {
  std::map<std::string, JsonValue> keys;
  std::vector<JsonValue> roles;
  for (const DelegationSpec& delegation : delegations) {
    AddKeys(delegation.role, keys);
    std::vector<JsonMember> members = RoleMembers(delegation.role);
    members.push_back({"name", delegation.name});
    members.push_back({"paths", JsonValue::Strings(delegation.paths)});
    members.push_back({"terminating", delegation.terminating});
    roles.push_back(JsonValue::Object(std::move(members)));
  }
  return JsonValue::Object(
      {{"keys", KeysJson(keys)}, {"roles", JsonValue::Array(std::move(roles))}});
}

JsonValue TargetsJson(const TargetFiles& targets) {
  std::vector<JsonMember> files;
  for (const auto& [path, file] : targets) files.push_back({path, TargetFileJson(file)});
  return JsonValue::Object(std::move(files));
}

JsonValue WithMembers(const JsonValue& object, std::vector<JsonMember> members) {
  for (const JsonMember& old : *object.if_object()) {
    if (std::ranges::find(members, old.key, &JsonMember::key) == members.end())
      members.push_back(old);
  }
  return JsonValue::Object(std::move(members));
}

JsonValue TargetsBody(const TargetsSpec& spec) {
  std::vector<JsonMember> body = Common("targets", spec.version, spec.expires);
  body.push_back({"targets", TargetsJson(spec.targets)});
  if (spec.delegations.kind() != JsonValue::Kind::kNull)
    body.push_back({"delegations", spec.delegations});
  if (spec.sallyport.kind() != JsonValue::Kind::kNull)
    body.push_back({"sallyport", spec.sallyport});
  return JsonValue::Object(std::move(body));
}

JsonValue SnapshotBody(uint64_t version, UnixTime expires,
                       const std::map<std::string, MetaFile, std::less<>>& roles) {
  std::vector<JsonMember> meta;
  for (const auto& [role, file] : roles) meta.push_back({role + ".json", MetaFileJson(file)});
  std::vector<JsonMember> body = Common("snapshot", version, expires);
  body.push_back({"meta", JsonValue::Object(std::move(meta))});
  return JsonValue::Object(std::move(body));
}

JsonValue TimestampBody(uint64_t version, UnixTime expires, const MetaFile& snapshot) {
  std::vector<JsonMember> body = Common("timestamp", version, expires);
  body.push_back({"meta", JsonValue::Object({{"snapshot.json", MetaFileJson(snapshot)}})});
  return JsonValue::Object(std::move(body));
}

MetaFile MetaFileOf(uint64_t version, ByteView bytes) {
  return {version, bytes.size(), Digests::Of(bytes)};
}

Result<Bytes> WriteSigned(const JsonValue& body, const std::vector<const Signer*>& signers) {
  const std::string canonical = CanonicalJson(body);
  std::vector<JsonValue> signatures;
  for (const Signer* signer : signers) {
    SP_TRY(JsonValue signature, SignatureOf(canonical, *signer));
    signatures.push_back(std::move(signature));
  }
  return ToBytes(WriteJson(Document(body, std::move(signatures))));
}

Result<Bytes> AddSignature(ByteView document, const Signer& signer, uint64_t size_max) {
  SP_TRY(SignedDocument::Parse(document, size_max));
  SP_TRY(const JsonValue tree,
         ParseJson(AsText(document), {.size_max = size_max, .depth_max = kMetadataDepthMax}));
  const JsonValue& body = *tree.Find("signed");
  std::vector<JsonValue> signatures;
  for (const JsonValue& signature : *tree.Find("signatures")->if_array()) {
    if (*signature.Find("keyid")->if_string() != signer.id) signatures.push_back(signature);
  }
  SP_TRY(JsonValue mine, SignatureOf(CanonicalJson(body), signer));
  signatures.push_back(std::move(mine));
  return ToBytes(WriteJson(Document(body, std::move(signatures))));
}

}  // namespace sallyport::ota
