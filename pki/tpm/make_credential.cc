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

constexpr size_t kSecretBytesMax = 32;  // a digest of the EK's nameAlg, SHA-256
constexpr uint16_t kAesBits = 128;      // of both templates
constexpr size_t kAesKeyBytes = kAesBits / 8;
constexpr size_t kSeedBytes = 32;
constexpr size_t kCoordinateBytes = 32;
constexpr uint16_t kRsaBits = 2048;
constexpr uint32_t kEkAttributes = tpm::kFixedTpm | tpm::kFixedParent | tpm::kSensitiveDataOrigin |
                                   tpm::kAdminWithPolicy | tpm::kRestricted | tpm::kDecrypt;
// TPM 2.0 Part 1, 24.4: the label and its terminating zero are part of the input.
constexpr std::string_view kIdentityLabel{"IDENTITY", 9};

constexpr uint8_t kPolicyA[] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8, 0x1A, 0x90, 0xCC,
                                0x8D, 0x46, 0xA5, 0xD7, 0x24, 0xFD, 0x52, 0xD7, 0x6E, 0x06, 0x52,
                                0x0B, 0x64, 0xF2, 0xA1, 0xDA, 0x1B, 0x33, 0x14, 0x69, 0xAA};

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

// KdfA of TPM 2.0 Part 1, 11.4.10.2 with SHA-256.
Result<SecretBytes> KdfA(ByteView key, std::string_view label, ByteView context, size_t size) {
  static EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "KBKDF", nullptr);
  const OSSL_PARAM params[] = {TextParam(OSSL_KDF_PARAM_MODE, "counter"),
                               TextParam(OSSL_KDF_PARAM_MAC, "HMAC"),
                               TextParam(OSSL_KDF_PARAM_DIGEST, "SHA256"),
                               BytesParam(OSSL_KDF_PARAM_KEY, key),
                               BytesParam(OSSL_KDF_PARAM_SALT, AsBytes(label)),
                               BytesParam(OSSL_KDF_PARAM_INFO, context),
                               OSSL_PARAM_construct_end()};
  return Derive(kdf, params, size);
}

// KdfE of TPM 2.0 Part 1, 11.4.10.3 with SHA-256.
Result<SecretBytes> KdfE(ByteView shared_x, ByteView party_u_x, ByteView party_v_x) {
  static EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "SSKDF", nullptr);
  Bytes info = ToBytes(kIdentityLabel);
  Append(info, party_u_x);
  Append(info, party_v_x);
  const OSSL_PARAM params[] = {TextParam(OSSL_KDF_PARAM_DIGEST, "SHA256"),
                               BytesParam(OSSL_KDF_PARAM_KEY, shared_x),
                               BytesParam(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
  return Derive(kdf, params, kSeedBytes);
}

struct SharedSeed {
  SecretBytes seed;
  Bytes encrypted;  // contents of TPM2B_ENCRYPTED_SECRET
};

Result<Bytes> Coordinate(const EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  const bool got = EVP_PKEY_get_bn_param(key, name, &raw) == 1;
  const BignumPtr number(raw);
  Bytes out(kCoordinateBytes);
  if (!got || BN_bn2binpad(number.get(), out.data(), static_cast<int>(out.size())) < 0)
    return OpenSslFailed("coordinate");
  return out;
}

Result<SecretBytes> SharedX(EVP_PKEY* own, EVP_PKEY* peer) {
  const EvpPkeyCtx context{EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr)};
  SecretBytes out(kCoordinateBytes);
  size_t size = out.size();
  if (context == nullptr || EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_derive_set_peer(context.get(), peer) != 1 ||
      EVP_PKEY_derive(context.get(), out.writable().data(), &size) != 1 || size != out.size())
    return OpenSslFailed("ECDH");
  return out;
}

Result<SharedSeed> EccSeed(const PublicKey& ek, ByteView ek_x) {
  const EvpPkey ephemeral{EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")};
  if (ephemeral == nullptr) return OpenSslFailed("ephemeral key");
  SP_TRY(const Bytes x, Coordinate(ephemeral.get(), OSSL_PKEY_PARAM_EC_PUB_X));
  SP_TRY(const Bytes y, Coordinate(ephemeral.get(), OSSL_PKEY_PARAM_EC_PUB_Y));
  SP_TRY(const SecretBytes shared, SharedX(ephemeral.get(), static_cast<EVP_PKEY*>(ek.native())));
  SP_TRY(SecretBytes seed, KdfE(shared.view(), x, ek_x));
  ByteWriter point;
  point.Sized16(x).Sized16(y);
  return SharedSeed{std::move(seed), std::move(point).Take()};
}

bool SetOaep(EVP_PKEY_CTX* context) {
  // OpenSSL takes ownership of the label when it accepts it.
  void* const label = OPENSSL_memdup(kIdentityLabel.data(), kIdentityLabel.size());
  if (label == nullptr) return false;
  const bool good = EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
                    EVP_PKEY_CTX_set_rsa_oaep_md_name(context, "SHA256", nullptr) == 1 &&
                    EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, "SHA256", nullptr) == 1 &&
                    EVP_PKEY_CTX_set0_rsa_oaep_label(context, label,
                                                     static_cast<int>(kIdentityLabel.size())) == 1;
  if (!good) OPENSSL_free(label);
  return good;
}

Result<SharedSeed> RsaSeed(const PublicKey& ek) {
  SecretBytes seed(kSeedBytes);
  if (RAND_priv_bytes(seed.writable().data(), static_cast<int>(seed.size())) != 1)
    return OpenSslFailed("seed");
  const EvpPkeyCtx context{
      EVP_PKEY_CTX_new_from_pkey(nullptr, static_cast<EVP_PKEY*>(ek.native()), nullptr)};
  Bytes out(kRsaBits / 8);
  size_t size = out.size();
  if (context == nullptr || EVP_PKEY_encrypt_init(context.get()) != 1 || !SetOaep(context.get()) ||
      EVP_PKEY_encrypt(context.get(), out.data(), &size, seed.view().data(), seed.size()) != 1 ||
      size != out.size())
    return OpenSslFailed("OAEP");
  return SharedSeed{std::move(seed), std::move(out)};
}

Result<SharedSeed> MakeSeed(const PublicArea& ek) {
  SP_TRY(const PublicKey key, ek.ToPublicKey());
  if (const auto* ecc = std::get_if<EccUnique>(&ek.unique)) return EccSeed(key, ecc->x);
  return RsaSeed(key);
}

// AES-128-CFB with a zero IV over the size-prefixed secret (TPM 2.0 Part 1, 24.5).
Result<Bytes> EncryptIdentity(ByteView key, ByteView secret) {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-128-CFB", nullptr);
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

bool IsTemplateArea(const PublicArea& ek) {
  const auto* ecc = std::get_if<EccUnique>(&ek.unique);
  const auto* rsa = std::get_if<RsaUnique>(&ek.unique);
  const bool key_fits = ecc != nullptr ? ecc->curve == tpm::kCurveP256 : rsa->key_bits == kRsaBits;
  return key_fits && ek.name_alg == HashAlgorithm::kSha256 && ek.symmetric_bits == kAesBits;
}

PublicArea EkArea(std::variant<EccUnique, RsaUnique> unique) {
  return {.name_alg = HashAlgorithm::kSha256,
          .attributes = kEkAttributes,
          .auth_policy = ToBytes(EkPolicyA()),
          .symmetric_bits = kAesBits,
          .scheme = std::nullopt,
          .unique = std::move(unique)};
}

Error RefusedKey() {
  return {Reason::kUnsupported, "neither RSA-2048 with exponent 65537 nor P-256", "ek.key-type"};
}

Result<PublicArea> RsaEk(const EVP_PKEY* key) {
  BIGNUM* raw_n = nullptr;
  BIGNUM* raw_e = nullptr;
  const bool got = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &raw_n) == 1 &&
                   EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &raw_e) == 1;
  const BignumPtr n(raw_n);
  const BignumPtr e(raw_e);
  if (!got) return OpenSslFailed("RSA key");
  if (BN_num_bits(n.get()) != kRsaBits || BN_is_word(e.get(), RSA_F4) != 1) return RefusedKey();
  Bytes modulus(kRsaBits / 8);
  if (BN_bn2binpad(n.get(), modulus.data(), static_cast<int>(modulus.size())) < 0)
    return OpenSslFailed("modulus");
  return EkArea(RsaUnique{kRsaBits, 0, std::move(modulus)});
}

Result<PublicArea> EccEk(const EVP_PKEY* key) {
  SP_TRY(Bytes x, Coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X));
  SP_TRY(Bytes y, Coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y));
  return EkArea(EccUnique{tpm::kCurveP256, std::move(x), std::move(y)});
}

}  // namespace

ByteView EkPolicyA() { return kPolicyA; }

PublicArea EkTemplateArea(EkTemplate ek_template) {
  switch (ek_template) {
    case EkTemplate::kL1Rsa2048: return EkArea(RsaUnique{kRsaBits, 0, Bytes(kRsaBits / 8, 0)});
    case EkTemplate::kL2P256:
      return EkArea(
          EccUnique{tpm::kCurveP256, Bytes(kCoordinateBytes, 0), Bytes(kCoordinateBytes, 0)});
  }
  std::abort();
}

Result<PublicArea> EkPublicFromKey(const PublicKey& key) {
  ERR_clear_error();
  if (key.type() == KeyType::kRsa) return RsaEk(static_cast<const EVP_PKEY*>(key.native()));
  if (key.type() == KeyType::kP256) return EccEk(static_cast<const EVP_PKEY*>(key.native()));
  return RefusedKey();
}

Result<MadeCredential> MakeCredential(const PublicArea& ek, ByteView object_name, ByteView secret) {
  if (secret.empty() || secret.size() > kSecretBytesMax)
    return Error{Reason::kInvalidArgument, std::to_string(secret.size()) + " bytes",
                 "credential.secret-size"};
  if (!IsTemplateArea(ek)) return RefusedKey();
  ERR_clear_error();
  SP_TRY(const SharedSeed shared, MakeSeed(ek));
  SP_TRY(const SecretBytes aes_key, KdfA(shared.seed.view(), "STORAGE", object_name, kAesKeyBytes));
  SP_TRY(const Bytes identity, EncryptIdentity(aes_key.view(), secret));
  SP_TRY(const SecretBytes mac_key, KdfA(shared.seed.view(), "INTEGRITY", {}, kSeedBytes));
  const Sha256Digest mac = HmacSha256(mac_key.view(), {identity, object_name});
  ByteWriter blob;
  blob.Sized16(mac.view()).Raw(identity);
  return MadeCredential{std::move(blob).Take(), shared.encrypted};
}

}  // namespace sallyport::pki
