#include "ota/repository/keys.h"

#include "pki/crypto/pkcs11_key.h"
#include "pki/crypto/sealed_key.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kKeyFileSizeMax = 16'384;  // the largest RSA key is below 4 KiB

Result<std::string> Protect(const pki::PrivateKey& key, const KeyFileOptions& options) {
  SystemRandom random;
  if (options.passphrase.empty()) return key.SealedPem("");
  return pki::SealKey(key, options.passphrase, options.kdf, random);
}

Result<pki::PrivateKey> Open(FileSystem& files, const std::string& name,
                             std::string_view passphrase) {
  if (pki::IsPkcs11Uri(name)) return pki::OpenPkcs11Key(name, passphrase);
  SP_TRY(const Bytes text, ReadFile(files, name, kKeyFileSizeMax));
  if (pki::IsSealedKey(AsText(text))) return pki::OpenSealedKey(AsText(text), passphrase);
  return pki::PrivateKey::FromPem(AsText(text), passphrase);
}

}  // namespace

Result<Signer> CreateKeyFile(FileSystem& files, const std::string& path,
                             const KeyFileOptions& options) {
  if (files.Open(path, OpenMode::kRead)) return Error{Reason::kAlreadyExists, path, "key.exists"};
  if (options.type != pki::KeyType::kEd25519 && options.type != pki::KeyType::kP256)
    return Error{Reason::kUnsupported, "key files hold Ed25519 or P-256 keys", "key.type"};
  SP_TRY(pki::PrivateKey key, pki::PrivateKey::Generate(options.type));
  SP_TRY(const std::string text, Protect(key, options));
  SP_TRY(files.MakeDirectories(ParentDirectory(path)));
  SP_TRY(WriteFileAtomically(files, path, AsBytes(text)));
  SP_TRY(WriteFileAtomically(files, path + ".pub", AsBytes(key.public_key().ToPem())));
  return Signer(std::move(key));
}

Result<Signer> LoadSigner(FileSystem& files, const std::string& name, std::string_view passphrase) {
  auto key = Open(files, name, passphrase);
  if (!key) return std::move(key).error().WithContext(name);
  return Signer(*std::move(key));
}

Result<pki::PublicKey> LoadPublicKey(FileSystem& files, const std::string& path) {
  SP_TRY(const Bytes pem, ReadFile(files, path, kKeyFileSizeMax));
  auto key = pki::PublicKey::FromPem(AsText(pem));
  if (!key) return std::move(key).error().WithContext(path);
  return key;
}

}  // namespace sallyport::ota
