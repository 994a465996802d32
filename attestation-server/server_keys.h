// Everything secret that sallyportd holds, opened once at start with the unlock file; and the
// layout of its state directory, shared by `sallyport init` and sallyportd.
#pragma once

#include <string>
#include <vector>

#include "ota/repository/ceremony.h"
#include "pki/ca/issuer_store.h"
#include "pki/ca/trust_bundle.h"

namespace sallyport::server {

// StateLayout names the files below the state directory.
struct StateLayout {
  std::string state;
  std::string database() const { return state + "/sallyport.db"; }
  std::string issuers() const { return state + "/issuers"; }
  std::string update_keys() const { return state + "/update-keys"; }
  std::string image_repository() const { return state + "/image"; }
  std::string director_roots() const { return state + "/image/director"; }
  std::string trust_bundle() const { return state + "/trust-bundle.json"; }
  std::string evidence() const { return state + "/evidence"; }
};

inline constexpr std::string_view kDeviceIssuerName = "device-issuer";
inline constexpr std::string_view kServerIssuerName = "server-issuer";
inline constexpr std::string_view kSignedTimeName = "signed-time";
inline constexpr std::string_view kAuditKeyName = "audit-checkpoint";
inline constexpr std::string_view kVerdictKeyName = "verdict";
inline constexpr std::string_view kPkiRootName = "pki-root";
inline constexpr std::string_view kOperatorRootName = "operator-root";

struct DirectorKeys {
  pki::PrivateKey targets;
  pki::PrivateKey snapshot;
  pki::PrivateKey timestamp;
};

struct ServerKeys {
  pki::IssuerKey device_issuer;
  pki::IssuerKey server_issuer;
  pki::PrivateKey signed_time;
  pki::PrivateKey audit_checkpoint;  // Ed25519
  pki::PrivateKey verdict;           // P-256
  ota::OnlineKeys image;
  DirectorKeys director;
  pki::AeadKey content_keys;  // seals the keys of sealed releases
};

// LoadUnlock reads the unlock file; it must hold at least as much as a key file.
Result<pki::UnlockSecret> LoadUnlock(FileSystem& files, const std::string& path);
// OnlinePassphrase seals the update keys; derived from the unlock file, so that one secret opens
// all.
Result<std::string> OnlinePassphrase(FileSystem& files, const std::string& unlock_path);

// OpenServerKeys: errors of IssuerStore and ota::LoadSigner; kBadSignature for another unlock file;
// kNotFound (rule server.key-missing), with the command that makes it, for a key that deployments
// of an older version do not have.
Result<ServerKeys> OpenServerKeys(FileSystem& files, const StateLayout& layout,
                                  const std::string& unlock_path);

// CompleteServerKeys makes those keys where they are missing, names them in the trust bundle (with
// its next sequence number) and returns the names of those that it made. What is complete stays as
// it is. kConflict (rule server.key-lost) when the bundle names a key that is gone: relying parties
// believe that one, so it comes from a backup or nowhere. Not while the service runs.
Result<std::vector<std::string>> CompleteServerKeys(FileSystem& files, const StateLayout& layout,
                                                    const std::string& unlock_path, Random& random);

}  // namespace sallyport::server
