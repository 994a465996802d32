#include "attestation-server/server_keys.h"

#include "ota/repository/keys.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kUnlockBytesMax = 4096;

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
  SP_TRY(pki::PrivateKey audit_checkpoint, store.GetKey(kAuditKeyName));
  SP_TRY(pki::PrivateKey verdict, store.GetKey(kVerdictKeyName));
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
                    {targets.key, snapshot.key, timestamp.key}};
}

}  // namespace sallyport::server
