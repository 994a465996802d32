#include "attestation-server/server_keys.h"

#include "ota/repository/keys.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kUnlockBytesMax = 4096;
constexpr std::string_view kContentKeysLabel = "sallyport/content-keys/v1";

// StatementKey is a key that came after the first version, and its place in the trust bundle.
struct StatementKey {
  std::string_view name;
  pki::KeyType type;
  std::optional<pki::PublicKey> pki::TrustBundle::* in_bundle;
};
constexpr StatementKey kStatementKeys[] = {
    {kAuditKeyName, pki::KeyType::kEd25519, &pki::TrustBundle::audit_key},
    {kVerdictKeyName, pki::KeyType::kP256, &pki::TrustBundle::verdict_key},
};

Result<pki::PrivateKey> LaterKey(const pki::IssuerStore& store, std::string_view name) {
  Result<pki::PrivateKey> key = store.GetKey(name);
  if (key || key.error().reason != Reason::kNotFound) return key;
  return Error{Reason::kNotFound,
               "this deployment has no key '" + std::string(name) +
                   "'; make it with: sallyport ca complete-keys --server-config FILE",
               "server.key-missing"};
}

// KeyFor is the key of the store, made now when neither store nor bundle know of one.
Result<pki::PrivateKey> KeyFor(pki::IssuerStore& store, const StatementKey& wanted,
                               const pki::TrustBundle& bundle, Random& random,
                               std::vector<std::string>& made) {
  Result<pki::PrivateKey> held = store.GetKey(wanted.name);
  if (held || held.error().reason != Reason::kNotFound) return held;
  if (bundle.*wanted.in_bundle)
    return Error{Reason::kConflict,
                 "the trust bundle names key '" + std::string(wanted.name) +
                     "', which is gone: restore it from a backup",
                 "server.key-lost"};
  SP_TRY(pki::PrivateKey key, pki::PrivateKey::Generate(wanted.type));
  SP_TRY(store.PutKey(wanted.name, key, random));
  made.emplace_back(wanted.name);
  return key;
}

}  // namespace

Result<pki::UnlockSecret> LoadUnlock(FileSystem& files, const std::string& path) {
  SP_TRY(const Bytes contents, ReadFile(files, path, kUnlockBytesMax));
  return pki::UnlockSecret::FromKeyFile(contents);
}

Result<std::string> OnlinePassphrase(FileSystem& files, const std::string& unlock_path) {
  SP_TRY(const Bytes contents, ReadFile(files, unlock_path, kUnlockBytesMax));
  return HexEncode(pki::HmacSha256(contents, {AsBytes("sallyport/update-keys/v1")}));
}

Result<ServerKeys> OpenServerKeys(FileSystem& files, const StateLayout& layout,
                                  const std::string& unlock_path) {
  SP_TRY(const pki::UnlockSecret unlock, LoadUnlock(files, unlock_path));
  SP_TRY(const pki::IssuerStore store, pki::IssuerStore::Open(files, layout.issuers(), unlock));
  SP_TRY(pki::IssuerKey device_issuer, store.GetIssuer(kDeviceIssuerName));
  SP_TRY(pki::IssuerKey server_issuer, store.GetIssuer(kServerIssuerName));
  SP_TRY(pki::PrivateKey signed_time, store.GetKey(kSignedTimeName));
  SP_TRY(pki::PrivateKey audit_checkpoint, LaterKey(store, kAuditKeyName));
  SP_TRY(pki::PrivateKey verdict, LaterKey(store, kVerdictKeyName));
  SP_TRY(const std::string passphrase, OnlinePassphrase(files, unlock_path));
  const auto load = [&](std::string_view name) {
    return ota::LoadSigner(files, layout.update_keys() + "/" + std::string(name), passphrase);
  };
  SP_TRY(ota::OnlineKeys image, ota::LoadOnlineKeys(files, layout.update_keys(), passphrase));
  SP_TRY(const ota::Signer targets, load(ota::kDirectorTargetsKey));
  SP_TRY(const ota::Signer snapshot, load(ota::kDirectorSnapshotKey));
  SP_TRY(const ota::Signer timestamp, load(ota::kDirectorTimestampKey));
  return ServerKeys{std::move(device_issuer),
                    std::move(server_issuer),
                    std::move(signed_time),
                    std::move(audit_checkpoint),
                    std::move(verdict),
                    std::move(image),
                    {targets.key, snapshot.key, timestamp.key},
                    store.Subkey(kContentKeysLabel)};
}

Result<std::vector<std::string>> CompleteServerKeys(FileSystem& files, const StateLayout& layout,
                                                    const std::string& unlock_path,
                                                    Random& random) {
  SP_TRY(const pki::UnlockSecret unlock, LoadUnlock(files, unlock_path));
  SP_TRY(pki::IssuerStore store, pki::IssuerStore::Open(files, layout.issuers(), unlock));
  SP_TRY(const Bytes json, ReadFile(files, layout.trust_bundle(), pki::kTrustBundleBytesMax));
  SP_TRY(pki::TrustBundle bundle, pki::ParseTrustBundle(AsText(json)));
  std::vector<std::string> made;
  bool named = true;
  for (const StatementKey& wanted : kStatementKeys) {
    SP_TRY(const pki::PrivateKey key, KeyFor(store, wanted, bundle, random, made));
    std::optional<pki::PublicKey>& in_bundle = bundle.*wanted.in_bundle;
    if (in_bundle) continue;
    in_bundle = key.public_key();
    named = false;
  }
  if (named) return made;
  ++bundle.sequence;
  SP_TRY(WriteFileAtomically(files, layout.trust_bundle(), AsBytes(pki::WriteTrustBundle(bundle))));
  return made;
}

}  // namespace sallyport::server
