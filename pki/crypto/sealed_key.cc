#include "pki/crypto/sealed_key.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kBegin = "-----BEGIN SALLYPORT SEALED KEY-----\n";
constexpr std::string_view kEnd = "-----END SALLYPORT SEALED KEY-----\n";
constexpr std::string_view kLabel = "sallyport/sealed-key/v1";
constexpr uint8_t kFormat = 1;
constexpr size_t kSpkiSizeMax = 1024;  // RSA of 4096 bits is 550 bytes
constexpr size_t kLineSize = 64;

Error BadFormat(std::string why) {
  return Error{Reason::kMalformed, "sealed key: " + std::move(why), "key.sealed-format"};
}

std::string Armour(ByteView bytes) {
  const std::string text = Base64Encode(bytes);
  std::string out(kBegin);
  for (size_t at = 0; at < text.size(); at += kLineSize) out += text.substr(at, kLineSize) + "\n";
  return out + std::string(kEnd);
}

Result<Bytes> Unarmour(std::string_view text) {
  if (!text.starts_with(kBegin) || !text.ends_with(kEnd)) return BadFormat("no BEGIN or END line");
  text.remove_prefix(kBegin.size());
  text.remove_suffix(kEnd.size());
  std::string joined;
  for (const char c : text)
    if (c != '\n') joined += c;
  auto bytes = Base64Decode(joined);
  if (!bytes) return BadFormat("not base64");
  return bytes;
}

struct Parts {
  KdfParams params;
  KdfSalt salt;
  ByteView spki;
  ByteView header;
  ByteView box;
};

Result<Parts> Split(ByteView bytes) {
  ByteReader reader(bytes, "sealed key");
  SP_TRY(const uint8_t format, reader.U8());
  if (format != kFormat) return BadFormat("format " + std::to_string(format));
  KdfParams params;
  SP_TRY(params.passes, reader.BigU64());
  SP_TRY(params.memory_bytes, reader.BigU64());
  SP_TRY(const ByteView salt_bytes, reader.Take(KdfSalt::kSize));
  SP_TRY(const KdfSalt salt, KdfSalt::FromView(salt_bytes));
  SP_TRY(const ByteView spki, reader.Sized32(kSpkiSizeMax));
  const ByteView box = reader.rest();
  return Parts{params, salt, spki, bytes.first(bytes.size() - box.size()), box};
}

Result<AeadKey> KeyFor(std::string_view passphrase, const KdfSalt& salt, const KdfParams& params) {
  SP_TRY(const UnlockSecret unlock, UnlockSecret::FromPassphrase(passphrase));
  SP_TRY(const MasterKey master, MasterKey::Derive(unlock, salt, params));
  return master.Subkey(kLabel);
}

}  // namespace

bool IsSealedKey(std::string_view text) { return text.starts_with(kBegin); }

Result<std::string> SealKey(const PrivateKey& key, std::string_view passphrase,
                            const KdfParams& params, Random& random) {
  const auto salt = random.Next<KdfSalt>();
  SP_TRY(const AeadKey aead, KeyFor(passphrase, salt, params));
  ByteWriter out;
  out.U8(kFormat).BigU64(params.passes).BigU64(params.memory_bytes).Raw(salt.view());
  out.Sized32(key.public_key().spki());
  SP_TRY(std::string pem, key.SealedPem(""));
  const Bytes box = AeadSeal(aead, AsBytes(pem), out.bytes(), random);
  WipeBytes({reinterpret_cast<uint8_t*>(pem.data()), pem.size()});
  return Armour(out.Raw(box).bytes());
}

Result<PrivateKey> OpenSealedKey(std::string_view text, std::string_view passphrase) {
  SP_TRY(const Bytes bytes, Unarmour(text));
  const auto parts = Split(bytes);
  if (!parts) return BadFormat(parts.error().detail);
  if (passphrase.empty())
    return Error{Reason::kBadSignature, "the key is sealed and no passphrase was given",
                 "key.passphrase"};
  SP_TRY(const AeadKey aead, KeyFor(passphrase, parts->salt, parts->params));
  const auto pem = AeadOpen(aead, parts->box, parts->header);
  if (!pem)
    return Error{Reason::kBadSignature, "wrong passphrase or damaged file", "key.passphrase"};
  SP_TRY(PrivateKey key, PrivateKey::FromPem(AsText(pem->view()), ""));
  if (!Equal(key.public_key().spki(), parts->spki)) return BadFormat("public key differs");
  return key;
}

}  // namespace sallyport::pki
