// IssuerStore keeps private keys encrypted at rest in one directory: `store.json` (version, salt,
// Argon2id parameters, a check value), `<name>.key` (sealed PKCS#8, bound to its name) and
// `<name>.pem`. Every file is written atomically. One thread at a time; it borrows the file system,
// which must outlive it.
#pragma once

#include "pki/base/file_system.h"
#include "pki/ca/signers.h"
#include "pki/crypto/key_wrap.h"

namespace sallyport::pki {

class IssuerStore {
 public:
  // Create makes the directory; kAlreadyExists when it holds a store.
  static Result<IssuerStore> Create(FileSystem& files, std::string directory,
                                    const UnlockSecret& unlock, const KdfParams& params,
                                    Random& random);
  // Open: kNotFound; kMalformed; kBadSignature (rule store.unlock) when `unlock` is the wrong one.
  static Result<IssuerStore> Open(FileSystem& files, std::string directory,
                                  const UnlockSecret& unlock);

  // Names are `^[a-z0-9][a-z0-9-]{0,63}$` (kInvalidArgument, rule store.name). Put replaces.
  Result<Unit> PutKey(std::string_view name, const PrivateKey& key, Random& random);
  // kNotFound; kBadSignature (rule store.forged) when the file was changed or belongs to another
  // name.
  Result<PrivateKey> GetKey(std::string_view name) const;
  Result<Unit> PutIssuer(std::string_view name, const IssuerKey& issuer, Random& random);
  // GetIssuer also checks that key and certificate belong together (kMismatch, rule store.issuer).
  Result<IssuerKey> GetIssuer(std::string_view name) const;

  // Subkey seals what is kept elsewhere under the same key-encryption key (key_wrap.h).
  AeadKey Subkey(std::string_view label) const { return master_.Subkey(label); }

 private:
  IssuerStore(FileSystem& files, std::string directory, MasterKey master);
  std::string PathOf(std::string_view name, std::string_view suffix) const;

  FileSystem* files_;
  std::string directory_;
  MasterKey master_;
  AeadKey key_;
};

}  // namespace sallyport::pki
