#include "pki/tpm/make_credential.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "pki/crypto/openssl_ptr.h"
#include "pki/crypto/secret.h"

namespace sallyport::pki {
namespace {

constexpr size_t kSecretBytesMax = 32;  // the shortest digest that an EK has as nameAlg
// TPM 2.0 Part 1, 24.4: the label and its terminating zero are part of the input.
constexpr std::string_view kIdentityLabel{"IDENTITY", 9};

using KdfCtx = Owned<EVP_KDF_CTX, EVP_KDF_CTX_free>;

Error OpenSslFailed(std::string_view step) {
  return {Reason::kInternal, std::string(step) + ": " + DrainOpenSslErrors(), "credential.openssl"};
}

OSSL_PARAM TextParam(const char* key, const char* value) {
  return OSSL_PARAM_construct_utf8_string(key, const_cast<char*>(value), 0);
}
OSSL_PARAM BytesParam(const char* key, ByteView value) {
  return OSSL_PARAM_construct_octet_string(key, const_cast<uint8_t*>(value.data()), value.size());
}

Result<SecretBytes> Derive(EVP_KDF* kdf, const OSSL_PARAM* params, size_t size) {
  const KdfCtx context{EVP_KDF_CTX_new(kdf)};
  SecretBytes out(size);
  if (context == nullptr || EVP_KDF_derive(context.get(), out.writable().data(), size, params) != 1)
    return OpenSslFailed("key derivation");
  return out;
}

const char* OpenSslName(HashAlgorithm hash) {
  return hash == HashAlgorithm::kSha384 ? "SHA384" : "SHA256";
}

// KdfA of TPM 2.0 Part 1, 11.4.10.2.
Result<SecretBytes> KdfA(HashAlgorithm hash, ByteView key, std::string_view label, ByteView context,
                         size_t size) {
  static EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "KBKDF", nullptr);
  const OSSL_PARAM params[] = {TextParam(OSSL_KDF_PARAM_MODE, "counter"),
                               TextParam(OSSL_KDF_PARAM_MAC, "HMAC"),
                               TextParam(OSSL_KDF_PARAM_DIGEST, OpenSslName(hash)),
                               BytesParam(OSSL_KDF_PARAM_KEY, key),
                               BytesParam(OSSL_KDF_PARAM_SALT, AsBytes(label)),
                               BytesParam(OSSL_KDF_PARAM_INFO, context),
                               OSSL_PARAM_construct_end()};
  return Derive(kdf, params, size);
}

// KdfE of TPM 2.0 Part 1, 11.4.10.3.
Result<SecretBytes> KdfE(HashAlgorithm hash, ByteView shared_x, ByteView party_u_x,
                         ByteView party_v_x) {
  static EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "SSKDF", nullptr);
  Bytes info = ToBytes(kIdentityLabel);
  Append(info, party_u_x);
  Append(info, party_v_x);
  const OSSL_PARAM params[] = {TextParam(OSSL_KDF_PARAM_DIGEST, OpenSslName(hash)),
                               BytesParam(OSSL_KDF_PARAM_KEY, shared_x),
                               BytesParam(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
  return Derive(kdf, params, DigestSize(hash));
}

struct SharedSeed {
  SecretBytes seed;
  Bytes encrypted;  // contents of TPM2B_ENCRYPTED_SECRET
};

Result<Bytes> Coordinate(const EVP_PKEY* key, const char* name, size_t size) {
  BIGNUM* raw = nullptr;
  const bool got = EVP_PKEY_get_bn_param(key, name, &raw) == 1;
  const BignumPtr number(raw);
  Bytes out(size);
  if (!got || BN_bn2binpad(number.get(), out.data(), static_cast<int>(out.size())) < 0)
    return OpenSslFailed("coordinate");
  return out;
}

Result<SecretBytes> SharedX(EVP_PKEY* own, EVP_PKEY* peer, size_t coordinate_bytes) {
  const EvpPkeyCtx context{EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr)};
  SecretBytes out(coordinate_bytes);
  size_t size = out.size();
  if (context == nullptr || EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_derive_set_peer(context.get(), peer) != 1 ||
      EVP_PKEY_derive(context.get(), out.writable().data(), &size) != 1 || size != out.size())
    return OpenSslFailed("ECDH");
  return out;
}

Result<SharedSeed> EccSeed(const PublicKey& ek, HashAlgorithm hash, const EccUnique& point) {
  const size_t size = point.x.size();
  const EvpPkey ephemeral{EVP_PKEY_Q_keygen(nullptr, nullptr, "EC",
                                            point.curve == tpm::kCurveP384 ? "P-384" : "P-256")};
  if (ephemeral == nullptr) return OpenSslFailed("ephemeral key");
  SP_TRY(const Bytes x, Coordinate(ephemeral.get(), OSSL_PKEY_PARAM_EC_PUB_X, size));
  SP_TRY(const Bytes y, Coordinate(ephemeral.get(), OSSL_PKEY_PARAM_EC_PUB_Y, size));
  SP_TRY(const SecretBytes shared,
         SharedX(ephemeral.get(), static_cast<EVP_PKEY*>(ek.native()), size));
  SP_TRY(SecretBytes seed, KdfE(hash, shared.view(), x, point.x));
  ByteWriter out;
  out.Sized16(x).Sized16(y);
  return SharedSeed{std::move(seed), std::move(out).Take()};
}

bool SetOaep(EVP_PKEY_CTX* context, const char* digest) {
  // OpenSSL takes ownership of the label when it accepts it.
  void* const label = OPENSSL_memdup(kIdentityLabel.data(), kIdentityLabel.size());
  if (label == nullptr) return false;
  const bool good = EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
                    EVP_PKEY_CTX_set_rsa_oaep_md_name(context, digest, nullptr) == 1 &&
                    EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, digest, nullptr) == 1 &&
                    EVP_PKEY_CTX_set0_rsa_oaep_label(context, label,
                                                     static_cast<int>(kIdentityLabel.size())) == 1;
  if (!good) OPENSSL_free(label);
  return good;
}

Result<SharedSeed> RsaSeed(const PublicKey& ek, HashAlgorithm hash) {
  SecretBytes seed(DigestSize(hash));
  if (RAND_priv_bytes(seed.writable().data(), static_cast<int>(seed.size())) != 1)
    return OpenSslFailed("seed");
  const EvpPkeyCtx context{
      EVP_PKEY_CTX_new_from_pkey(nullptr, static_cast<EVP_PKEY*>(ek.native()), nullptr)};
  Bytes out(ek.bits() / 8);
  size_t size = out.size();
  if (context == nullptr || EVP_PKEY_encrypt_init(context.get()) != 1 ||
      !SetOaep(context.get(), OpenSslName(hash)) ||
      EVP_PKEY_encrypt(context.get(), out.data(), &size, seed.view().data(), seed.size()) != 1 ||
      size != out.size())
    return OpenSslFailed("OAEP");
  return SharedSeed{std::move(seed), std::move(out)};
}

Result<SharedSeed> MakeSeed(const PublicArea& ek) {
  SP_TRY(const PublicKey key, ek.ToPublicKey());
  if (const auto* ecc = std::get_if<EccUnique>(&ek.unique)) return EccSeed(key, ek.name_alg, *ecc);
  return RsaSeed(key, ek.name_alg);
}

// AES-CFB with a zero IV over the size-prefixed secret (TPM 2.0 Part 1, 24.5).
Result<Bytes> EncryptIdentity(ByteView key, ByteView secret) {
  static EVP_CIPHER* const aes128 = EVP_CIPHER_fetch(nullptr, "AES-128-CFB", nullptr);
  static EVP_CIPHER* const aes256 = EVP_CIPHER_fetch(nullptr, "AES-256-CFB", nullptr);
  EVP_CIPHER* const cipher = key.size() == 32 ? aes256 : aes128;
  constexpr uint8_t kZeroIv[16] = {};
  ByteWriter plain;
  plain.Sized16(secret);
  const EvpCipherCtx context{EVP_CIPHER_CTX_new()};
  Bytes out(plain.bytes().size());
  int size = 0;
  if (context == nullptr ||
      EVP_EncryptInit_ex2(context.get(), cipher, key.data(), kZeroIv, nullptr) != 1 ||
      EVP_EncryptUpdate(context.get(), out.data(), &size, plain.bytes().data(),
                        static_cast<int>(plain.bytes().size())) != 1)
    return OpenSslFailed("AES-CFB");
  return out;
}

Result<Bytes> Mac(HashAlgorithm hash, ByteView key, ByteView identity, ByteView name) {
  Bytes message = ToBytes(identity);
  Append(message, name);
  Bytes out(DigestSize(hash));
  size_t size = 0;
  if (EVP_Q_mac(nullptr, "HMAC", nullptr, OpenSslName(hash), nullptr, key.data(), key.size(),
                message.data(), message.size(), out.data(), out.size(), &size) == nullptr ||
      size != out.size())
    return OpenSslFailed("HMAC");
  return out;
}

}  // namespace

Result<MadeCredential> MakeCredential(const PublicArea& ek, ByteView object_name, ByteView secret) {
  if (secret.empty() || secret.size() > kSecretBytesMax)
    return Error{Reason::kInvalidArgument, std::to_string(secret.size()) + " bytes",
                 "credential.secret-size"};
  if (!FindEkTemplate(ek))
    return Error{Reason::kUnsupported, "not of a known template", "ek.key-type"};
  ERR_clear_error();
  const HashAlgorithm hash = ek.name_alg;
  SP_TRY(const SharedSeed shared, MakeSeed(ek));
  SP_TRY(const SecretBytes aes_key,
         KdfA(hash, shared.seed.view(), "STORAGE", object_name, *ek.symmetric_bits / 8u));
  SP_TRY(const Bytes identity, EncryptIdentity(aes_key.view(), secret));
  SP_TRY(const SecretBytes mac_key,
         KdfA(hash, shared.seed.view(), "INTEGRITY", {}, DigestSize(hash)));
  SP_TRY(const Bytes mac, Mac(hash, mac_key.view(), identity, object_name));
  ByteWriter blob;
  blob.Sized16(mac).Raw(identity);
  return MadeCredential{std::move(blob).Take(), shared.encrypted};
}

}  // namespace sallyport::pki
