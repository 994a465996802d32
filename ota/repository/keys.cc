#include "ota/repository/keys.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kKeyFileSizeMax = 16'384;  // the largest RSA key is below 4 KiB

std::string Parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

Result<pki::PublicKey> CreateKeyFile(FileSystem& files, const std::string& path,
                                     std::string_view passphrase) {
  if (files.Open(path, OpenMode::kRead)) return Error{Reason::kAlreadyExists, path, "key.exists"};
  SP_TRY(const pki::PrivateKey key, pki::PrivateKey::Generate(pki::KeyType::kEd25519));
  SP_TRY(const std::string pem, key.SealedPem(passphrase));
  SP_TRY(files.MakeDirectories(Parent(path)));
  SP_TRY(WriteFileAtomically(files, path, AsBytes(pem)));
  SP_TRY(WriteFileAtomically(files, path + ".pub", AsBytes(key.public_key().ToPem())));
  return key.public_key();
}

Result<Signer> LoadSigner(FileSystem& files, const std::string& path, std::string_view passphrase) {
  SP_TRY(const Bytes pem, ReadFile(files, path, kKeyFileSizeMax));
  auto key = pki::PrivateKey::FromPem(AsText(pem), passphrase);
  if (!key) return std::move(key).error().WithContext(path);
  return Signer(*std::move(key));
}

Result<pki::PublicKey> LoadPublicKey(FileSystem& files, const std::string& path) {
  SP_TRY(const Bytes pem, ReadFile(files, path, kKeyFileSizeMax));
  auto key = pki::PublicKey::FromPem(AsText(pem));
  if (!key) return std::move(key).error().WithContext(path);
  return key;
}

}  // namespace sallyport::ota
