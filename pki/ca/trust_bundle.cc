#include "pki/ca/trust_bundle.h"

#include <algorithm>

#include "pki/crypto/hash.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kVersion = "trust-bundle/v1";

JsonValue Pems(const std::vector<IssuerCertificate>& issuers) {
  std::vector<std::string> pems;
  for (const IssuerCertificate& issuer : issuers) pems.push_back(issuer.ToPem());
  return JsonValue::Strings(pems);
}

Result<IssuerCertificate> ReadPem(const JsonCursor& json, std::string_view key) {
  SP_TRY(const std::string_view pem, json.GetString(key));
  Result<IssuerCertificate> certificate = IssuerFromPem(pem);
  if (!certificate.has_value()) return std::move(certificate).error().WithContext(key);
  return certificate;
}

Result<IssuerCertificate> ReadRoot(const JsonCursor& json, std::string_view key) {
  SP_TRY(IssuerCertificate root, ReadPem(json, key));
  if (!CheckIssuedBy(root, root).has_value())
    return Error{Reason::kUntrusted, std::string(key) + " is not signed by itself",
                 "bundle.root-signature"};
  return root;
}

Result<std::vector<IssuerCertificate>> ReadIssuers(const JsonCursor& json, std::string_view key,
                                                   const IssuerCertificate& root) {
  SP_TRY(const std::vector<std::string> pems, json.GetStrings(key));
  if (pems.size() > kIssuersPerRoleMax)
    return Error{Reason::kTooLarge, "too many " + std::string(key), "bundle.issuers"};
  std::vector<IssuerCertificate> out;
  for (const std::string& pem : pems) {
    SP_TRY(IssuerCertificate issuer, IssuerFromPem(pem));
    if (!CheckIssuedBy(issuer, root).has_value())
      return Error{Reason::kUntrusted, "one of " + std::string(key) + " is not signed by pki_root",
                   "bundle.issuer-signature"};
    out.push_back(std::move(issuer));
  }
  return out;
}

Result<std::optional<PublicKey>> ReadKey(const JsonCursor& json, std::string_view name,
                                         KeyType type, std::string_view rule) {
  const std::optional<JsonCursor> member = json.Find(name);
  if (!member) return std::optional<PublicKey>();
  SP_TRY(const std::string_view pem, member->String());
  Result<PublicKey> key = PublicKey::FromPem(pem);
  if (!key || key->type() != type) return member->Refuse("a key of another kind", rule);
  return std::optional<PublicKey>(*std::move(key));
}

Result<Unit> CheckStatementKeys(const TrustBundle& bundle,
                                const std::vector<const IssuerCertificate*>& issuers) {
  std::vector<Bytes> seen;
  for (const IssuerCertificate* const issuer : issuers) seen.push_back(issuer->key.spki());
  for (const std::optional<PublicKey>* const key :
       {&bundle.time_key, &bundle.audit_key, &bundle.verdict_key}) {
    if (!key->has_value()) continue;
    if (std::ranges::find(seen, (*key)->spki()) != seen.end())
      return Error{Reason::kMismatch, "one key has two roles", "bundle.role-twice"};
    seen.push_back((*key)->spki());
  }
  return Ok();
}

// CheckRoles: one key, one role. Two certificates of one key would let one role pass as the other.
Result<Unit> CheckRoles(const TrustBundle& bundle) {
  std::vector<const IssuerCertificate*> all{&bundle.pki_root, &bundle.operator_root};
  for (const IssuerCertificate& issuer : bundle.device_issuers) all.push_back(&issuer);
  for (const IssuerCertificate& issuer : bundle.server_issuers) all.push_back(&issuer);
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t k = i + 1; k < all.size(); ++k)
      if (all[i]->key.spki() == all[k]->key.spki())
        return Error{Reason::kMismatch, "one key stands for two issuers", "bundle.role-twice"};
  return CheckStatementKeys(bundle, all);
}

}  // namespace

RoleAnchors TrustBundle::Anchors() const {
  return {device_issuers, server_issuers, {operator_root}};
}

Sha256Digest TrustBundle::PkiRootDigest() const { return Sha256(pki_root.der); }

TrustBundle BundleOf(const Hierarchy& hierarchy, const TrustDomain& trust_domain,
                     int64_t sequence) {
  return {trust_domain,
          sequence,
          hierarchy.pki_root.certificate,
          {hierarchy.device_issuer.certificate},
          {hierarchy.server_issuer.certificate},
          hierarchy.operator_root.certificate};
}

JsonValue TrustBundleToJson(const TrustBundle& bundle) {
  std::vector<JsonMember> members{{"sallyport", kVersion},
                                  {"trust_domain", bundle.trust_domain.name()},
                                  {"sequence", bundle.sequence},
                                  {"pki_root", bundle.pki_root.ToPem()},
                                  {"device_issuers", Pems(bundle.device_issuers)},
                                  {"server_issuers", Pems(bundle.server_issuers)},
                                  {"operator_root", bundle.operator_root.ToPem()}};
  for (const auto& [name, key] :
       {std::pair("time_key", &bundle.time_key), std::pair("audit_key", &bundle.audit_key),
        std::pair("verdict_key", &bundle.verdict_key)})
    if (key->has_value()) members.push_back({name, (*key)->ToPem()});
  return JsonValue::Object(std::move(members));
}

std::string WriteTrustBundle(const TrustBundle& bundle) {
  return WriteJson(TrustBundleToJson(bundle));
}

Result<TrustBundle> TrustBundleFromJson(const JsonCursor& json) {
  SP_TRY(
      json.OnlyKeys({"sallyport", "trust_domain", "sequence", "pki_root", "device_issuers",
                     "server_issuers", "operator_root", "time_key", "audit_key", "verdict_key"}));
  SP_TRY(const std::string_view version, json.GetString("sallyport"));
  if (version != kVersion)
    return Error{Reason::kUnsupported, "trust bundle of another version", "bundle.version"};
  SP_TRY(const std::string_view name, json.GetString("trust_domain"));
  SP_TRY(TrustDomain trust_domain, TrustDomain::Parse(name));
  SP_TRY(const int64_t sequence, json.GetInteger("sequence", 0));
  SP_TRY(IssuerCertificate pki_root, ReadRoot(json, "pki_root"));
  SP_TRY(auto device_issuers, ReadIssuers(json, "device_issuers", pki_root));
  SP_TRY(auto server_issuers, ReadIssuers(json, "server_issuers", pki_root));
  SP_TRY(IssuerCertificate operator_root, ReadRoot(json, "operator_root"));
  TrustBundle bundle{std::move(trust_domain),   sequence,
                     std::move(pki_root),       std::move(device_issuers),
                     std::move(server_issuers), std::move(operator_root)};
  SP_TRY(bundle.time_key, ReadKey(json, "time_key", KeyType::kEd25519, "bundle.time-key"));
  SP_TRY(bundle.audit_key, ReadKey(json, "audit_key", KeyType::kEd25519, "bundle.audit-key"));
  SP_TRY(bundle.verdict_key, ReadKey(json, "verdict_key", KeyType::kP256, "bundle.verdict-key"));
  SP_TRY(CheckRoles(bundle));
  return bundle;
}

Result<TrustBundle> ParseTrustBundle(std::string_view text) {
  SP_TRY(const JsonValue value, ParseJson(text, {.size_max = kTrustBundleBytesMax}));
  return TrustBundleFromJson(JsonCursor(value));
}

}  // namespace sallyport::pki
