// Keys of TUF metadata and the threshold that a role's signatures must reach (TUF 1.0 section 4.2).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "pki/base/json.h"
#include "pki/crypto/signature.h"

namespace sallyport::ota {

// KeyToJson writes a public key as TUF does: Ed25519 as hex, ECDSA P-256 and RSA (PSS) as PEM.
JsonValue KeyToJson(const pki::PublicKey& key);
// KeyId is the hex SHA-256 of the canonical JSON of KeyToJson.
std::string KeyId(const pki::PublicKey& key);

// KeyMap holds the keys of a document that this program can use, by key id. Key ids are opaque
// names.
using KeyMap = std::map<std::string, pki::PublicKey, std::less<>>;
// ParseKeys leaves out keys of unknown type or scheme and keys that do not decode: they verify
// nothing. kMalformed when it is no object of objects, kTooLarge above kKeysMax.
Result<KeyMap> ParseKeys(const JsonCursor& keys);

// RoleKeys says whose signatures count for a role and how many are needed: at least one, always.
class RoleKeys {
 public:
  // Parse reads `keyids` and `threshold` and resolves the ids. Rules: tuf.threshold-zero,
  // tuf.duplicate-keyid.
  static Result<RoleKeys> Parse(const JsonCursor& role, const KeyMap& keys);

  size_t threshold() const { return threshold_; }
  // keyids as listed, usable or not.
  const std::vector<std::string>& keyids() const { return keyids_; }
  // Find returns null for an unlisted or unusable key; borrowed.
  const pki::PublicKey* Find(std::string_view keyid) const;
  // KeptBy says whether every key of this role is still a key of `next` (compared by key, not by
  // id).
  bool KeptBy(const RoleKeys& next) const;

 private:
  RoleKeys() = default;
  size_t threshold_ = 0;
  std::vector<std::string> keyids_;
  KeyMap usable_;
};

}  // namespace sallyport::ota
