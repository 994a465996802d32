// The keys of the people and programs that sign updates: files sealed by a passphrase (Ed25519,
// ECDSA P-256), or keys in a PKCS#11 token (P-256, RSA).
#pragma once

#include <string>

#include "ota/repository/document_writer.h"
#include "pki/base/file_system.h"
#include "pki/crypto/key_wrap.h"

namespace sallyport::ota {

struct KeyFileOptions {
  pki::KeyType type = pki::KeyType::kEd25519;  // or kP256
  std::string passphrase = {};                 // empty: the file is not sealed
  pki::KdfParams kdf = {};                     // what each guess of the passphrase costs
};

// CreateKeyFile makes a key and stores it at `path`, sealed (pki/crypto/sealed_key.h) or as PKCS#8
// PEM, and its public half, SPKI PEM, at `path`.pub. kAlreadyExists, rule key.exists: a key is
// never overwritten; kUnsupported, rule key.type.
Result<Signer> CreateKeyFile(FileSystem& files, const std::string& path,
                             const KeyFileOptions& options);
// LoadSigner takes a key file or a `pkcs11:` URI, whose PIN `passphrase` then is. kNotFound;
// kBadSignature, rule key.passphrase, for a wrong passphrase; kMalformed; the errors of
// pki/crypto/pkcs11_key.h.
Result<Signer> LoadSigner(FileSystem& files, const std::string& name, std::string_view passphrase);
// LoadPublicKey reads SPKI PEM.
Result<pki::PublicKey> LoadPublicKey(FileSystem& files, const std::string& path);

}  // namespace sallyport::ota
