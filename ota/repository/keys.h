// Key files of the people and programs that sign updates: PKCS#8 PEM, sealed by a passphrase. Only
// Ed25519 is made here; ECDSA P-256 keys are read too.
#pragma once

#include <string>

#include "ota/repository/document_writer.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// CreateKeyFile makes an Ed25519 key and stores it sealed at `path` and its public half, SPKI PEM,
// at `path`.pub. kAlreadyExists: a key is never overwritten. An empty passphrase leaves the file
// unsealed.
Result<pki::PublicKey> CreateKeyFile(FileSystem& files, const std::string& path,
                                     std::string_view passphrase);
// LoadSigner: kNotFound, kBadSignature for a wrong passphrase, kMalformed.
Result<Signer> LoadSigner(FileSystem& files, const std::string& path, std::string_view passphrase);
Result<pki::PublicKey> LoadPublicKey(FileSystem& files, const std::string& path);

}  // namespace sallyport::ota
