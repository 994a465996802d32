#include "pki/ca/issuer_store.h"

#include "pki/base/json.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kVersion = "issuer-store/v1";
constexpr std::string_view kSubkeyLabel = "sallyport/issuer-store/v1";
constexpr std::string_view kCheckContext = "sallyport/issuer-store/check/v1";
constexpr size_t kHeaderBytesMax = 4096;
constexpr size_t kKeyFileBytesMax = 16 << 10;  // an RSA-4096 PKCS#8 is 3 KiB
constexpr size_t kPemFileBytesMax = 64 << 10;

struct Header {
  KdfSalt salt;
  KdfParams params;
  Bytes check;  // sealed empty text: tells a wrong passphrase from a damaged key
};

std::string WriteHeader(const Header& header) {
  return WriteJson(JsonValue::Object({{"sallyport", kVersion},
                                      {"kdf", "argon2id"},
                                      {"salt", HexEncode(header.salt)},
                                      {"passes", header.params.passes},
                                      {"memory_bytes", header.params.memory_bytes},
                                      {"check", HexEncode(header.check)}}));
}

Result<Header> ParseHeader(std::string_view text) {
  SP_TRY(const JsonValue value, ParseJson(text));
  const JsonCursor json(value);
  SP_TRY(json.OnlyKeys({"sallyport", "kdf", "salt", "passes", "memory_bytes", "check"}));
  SP_TRY(const std::string_view version, json.GetString("sallyport"));
  SP_TRY(const std::string_view kdf, json.GetString("kdf"));
  if (version != kVersion || kdf != "argon2id")
    return Error{Reason::kUnsupported, "key store of another version", "store.version"};
  SP_TRY(const std::string_view salt_hex, json.GetString("salt"));
  SP_TRY(const Bytes salt_bytes, HexDecode(salt_hex));
  SP_TRY(const KdfSalt salt, KdfSalt::FromView(salt_bytes));
  SP_TRY(const int64_t passes, json.GetInteger("passes", 1));
  SP_TRY(const int64_t memory, json.GetInteger("memory_bytes", 1));
  SP_TRY(const std::string_view check_hex, json.GetString("check"));
  SP_TRY(Bytes check, HexDecode(check_hex));
  return Header{
      salt, {static_cast<uint64_t>(passes), static_cast<uint64_t>(memory)}, std::move(check)};
}

Result<Unit> CheckName(std::string_view name) {
  constexpr size_t kNameBytesMax = 64;
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (name.empty() || name.size() > kNameBytesMax || name[0] == '-' ||
      !std::ranges::all_of(name, allowed))
    return Error{Reason::kInvalidArgument, "not a name for a key: " + std::string(name),
                 "store.name"};
  return Ok();
}

// A sealed key opens under its own name only.
std::string KeyContext(std::string_view name) {
  return "sallyport/issuer-store/key/v1/" + std::string(name);
}

std::string HeaderPath(const std::string& directory) { return directory + "/store.json"; }

}  // namespace

IssuerStore::IssuerStore(FileSystem& files, std::string directory, MasterKey master)
    : files_(&files),
      directory_(std::move(directory)),
      master_(std::move(master)),
      key_(master_.Subkey(kSubkeyLabel)) {}

std::string IssuerStore::PathOf(std::string_view name, std::string_view suffix) const {
  return directory_ + "/" + std::string(name) + std::string(suffix);
}

Result<IssuerStore> IssuerStore::Create(FileSystem& files, std::string directory,
                                        const UnlockSecret& unlock, const KdfParams& params,
                                        Random& random) {
  SP_TRY(files.MakeDirectories(directory));
  const auto existing = ReadFile(files, HeaderPath(directory), kHeaderBytesMax);
  if (existing.has_value())
    return Error{Reason::kAlreadyExists, directory + " holds a key store", "store.exists"};
  if (existing.error().reason != Reason::kNotFound) return existing.error();
  const auto salt = random.Next<KdfSalt>();
  SP_TRY(MasterKey master, MasterKey::Derive(unlock, salt, params));
  const AeadKey key = master.Subkey(kSubkeyLabel);
  const Header header{salt, params, AeadSeal(key, {}, AsBytes(kCheckContext), random)};
  SP_TRY(WriteFileAtomically(files, HeaderPath(directory), AsBytes(WriteHeader(header))));
  return IssuerStore(files, std::move(directory), std::move(master));
}

Result<IssuerStore> IssuerStore::Open(FileSystem& files, std::string directory,
                                      const UnlockSecret& unlock) {
  SP_TRY(const Bytes text, ReadFile(files, HeaderPath(directory), kHeaderBytesMax));
  SP_TRY(const Header header, ParseHeader(AsText(text)));
  SP_TRY(MasterKey master, MasterKey::Derive(unlock, header.salt, header.params));
  const AeadKey key = master.Subkey(kSubkeyLabel);
  if (!AeadOpen(key, header.check, AsBytes(kCheckContext)).has_value())
    return Error{Reason::kBadSignature, "wrong passphrase or key file", "store.unlock"};
  return IssuerStore(files, std::move(directory), std::move(master));
}

Result<Unit> IssuerStore::PutKey(std::string_view name, const PrivateKey& key, Random& random) {
  SP_TRY(CheckName(name));
  SP_TRY(std::string pem, key.SealedPem(""));
  const Bytes box = AeadSeal(key_, AsBytes(pem), AsBytes(KeyContext(name)), random);
  WipeBytes({reinterpret_cast<uint8_t*>(pem.data()), pem.size()});
  return WriteFileAtomically(*files_, PathOf(name, ".key"), box);
}

Result<PrivateKey> IssuerStore::GetKey(std::string_view name) const {
  SP_TRY(CheckName(name));
  SP_TRY(const Bytes box, ReadFile(*files_, PathOf(name, ".key"), kKeyFileBytesMax));
  const auto pem = AeadOpen(key_, box, AsBytes(KeyContext(name)));
  if (!pem.has_value())
    return Error{Reason::kBadSignature,
                 "key " + std::string(name) + " was changed or has another name", "store.forged"};
  return PrivateKey::FromPem(AsText(pem->view()), "");
}

Result<Unit> IssuerStore::PutIssuer(std::string_view name, const IssuerKey& issuer,
                                    Random& random) {
  SP_TRY(PutKey(name, issuer.key, random));
  return WriteFileAtomically(*files_, PathOf(name, ".pem"), AsBytes(issuer.certificate.ToPem()));
}

Result<IssuerKey> IssuerStore::GetIssuer(std::string_view name) const {
  SP_TRY(PrivateKey key, GetKey(name));
  SP_TRY(const Bytes pem, ReadFile(*files_, PathOf(name, ".pem"), kPemFileBytesMax));
  SP_TRY(IssuerCertificate certificate, IssuerFromPem(AsText(pem)));
  if (certificate.key.spki() != key.public_key().spki())
    return Error{Reason::kMismatch, "key and certificate of " + std::string(name) + " differ",
                 "store.issuer"};
  return IssuerKey{std::move(certificate), std::move(key)};
}

}  // namespace sallyport::pki
