#include "pki/crypto/signature.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>

#include "pki/crypto/openssl_ptr.h"
#include "pki/crypto/p256_spki.h"

namespace sallyport::pki {
namespace {

// DER of the SubjectPublicKeyInfo of every Ed25519 key, up to the key (RFC 8410 section 4).
constexpr std::array<uint8_t, 12> kEd25519SpkiPrefix = {0x30, 0x2A, 0x30, 0x05, 0x06, 0x03,
                                                        0x2B, 0x65, 0x70, 0x03, 0x21, 0x00};
constexpr unsigned kRsaBitsMin = 2048;
constexpr unsigned kRsaBitsMax = 4096;  // larger keys cost the verifier CPU and buy nothing

// A signer chooses its salt: older TPMs take the longest that fits (TPM 2.0 Part 1, B.7), others
// the length of the digest.
constexpr int kSaltOfSigner = RSA_PSS_SALTLEN_AUTO;

Error Malformed(std::string detail) { return Error{Reason::kMalformed, std::move(detail)}; }

const char* DigestName(HashAlgorithm hash) {
  switch (hash) {
    case HashAlgorithm::kSha256: return "SHA256";
    case HashAlgorithm::kSha384: return "SHA384";
    case HashAlgorithm::kSha512: return "SHA512";
  }
  std::abort();
}

Result<KeyType> TypeOf(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return KeyType::kEd25519;
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    const int bits = EVP_PKEY_get_bits(key);
    if (bits < static_cast<int>(kRsaBitsMin) || bits > static_cast<int>(kRsaBitsMax))
      return Error{Reason::kUnsupported, "rsa key of " + std::to_string(bits) + " bits"};
    return KeyType::kRsa;
  }
  std::array<char, 64> group{};
  if (EVP_PKEY_is_a(key, "EC") == 1 &&
      EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(),
                                     nullptr) == 1) {
    if (std::string_view(group.data()) == "prime256v1") return KeyType::kP256;
    if (std::string_view(group.data()) == "secp384r1") return KeyType::kP384;
  }
  return Error{Reason::kUnsupported, "key type"};
}

Result<Bytes> EncodeSpki(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size <= 0) return Error{Reason::kInternal, "encode public key: " + DrainOpenSslErrors()};
  Bytes out(der, der + size);
  OPENSSL_free(der);
  return out;
}

Result<EvpPkey> FromParameters(const char* type, int selection, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM, OSSL_PARAM_free> parameters{OSSL_PARAM_BLD_to_param(builder)};
  const EvpPkeyCtx context{EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr)};
  EVP_PKEY* key = nullptr;
  ERR_clear_error();
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, selection, parameters.get()) != 1)
    return Malformed("public key: " + DrainOpenSslErrors());
  return EvpPkey(key);
}

HashAlgorithm DefaultHash(KeyType type) {
  return type == KeyType::kP384 ? HashAlgorithm::kSha384 : HashAlgorithm::kSha256;
}

SignatureScheme DefaultScheme(KeyType type) {
  switch (type) {
    case KeyType::kP256:
    case KeyType::kP384: return SignatureScheme::kEcdsa;
    case KeyType::kRsa: return SignatureScheme::kRsaPss;
    case KeyType::kEd25519: return SignatureScheme::kEd25519;
  }
  std::abort();
}

bool Fits(SignatureScheme scheme, KeyType type) {
  switch (scheme) {
    case SignatureScheme::kEcdsa: return type == KeyType::kP256 || type == KeyType::kP384;
    case SignatureScheme::kRsaPkcs1:
    case SignatureScheme::kRsaPss: return type == KeyType::kRsa;
    case SignatureScheme::kEd25519: return type == KeyType::kEd25519;
  }
  std::abort();
}

bool SetPadding(EVP_PKEY_CTX* context, SignatureScheme scheme, int salt) {
  if (scheme != SignatureScheme::kRsaPss) return true;
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt) == 1;
}

EvpPkey CurveParameters(const char* group) {
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder{OSSL_PARAM_BLD_new()};
  SP_CHECK(OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) ==
           1);
  Result<EvpPkey> out = FromParameters("EC", EVP_PKEY_KEY_PARAMETERS, builder.get());
  SP_CHECK(out.has_value());
  return std::move(out).value();
}

// EcPoint copies the curve's parameters, made once: OpenSSL 3.0 computes them anew for every import
// otherwise, at four times the price (docs/architecture.md 9). A point off the curve is refused.
Result<EvpPkey> EcPoint(const EvpPkey& curve, size_t size, ByteView x, ByteView y) {
  if (x.size() != size || y.size() != size)
    return Malformed("elliptic curve point: coordinate size");
  Bytes point{4};
  Append(point, x);
  Append(point, y);
  EvpPkey key{EVP_PKEY_dup(curve.get())};
  SP_CHECK(key != nullptr);
  ERR_clear_error();
  if (EVP_PKEY_set1_encoded_public_key(key.get(), point.data(), point.size()) != 1)
    return Malformed("public key: " + DrainOpenSslErrors());
  return key;
}

// VerifyEd25519 uses libsodium: OpenSSL 3.0 takes half as long again, and accepts keys of small
// order, under which one signature verifies for many messages.
Result<Unit> VerifyEd25519(ByteView spki, ByteView message, ByteView signature) {
  const ByteView key = spki.last(crypto_sign_PUBLICKEYBYTES);
  if (signature.size() != crypto_sign_BYTES ||
      crypto_sign_verify_detached(signature.data(), message.data(), message.size(), key.data()) !=
          0)
    return Error{Reason::kBadSignature, "signature does not verify"};
  return Unit{};
}

}  // namespace

struct PublicKey::State {
  EvpPkey key;
  KeyType type;
  Bytes spki;

  static Result<std::shared_ptr<const State>> Make(EvpPkey key) {
    SP_TRY(const KeyType type, TypeOf(key.get()));
    SP_TRY(Bytes spki, EncodeSpki(key.get()));
    return Make(std::move(key), type, std::move(spki));
  }
  static std::shared_ptr<const State> Make(EvpPkey key, KeyType type, Bytes spki) {
    return std::make_shared<State>(State{std::move(key), type, std::move(spki)});
  }
};

Result<PublicKey> PublicKey::FromSpki(ByteView der) {
  if (der.size() == kP256SpkiSize && Equal(der.first(kP256SpkiPrefix.size()), kP256SpkiPrefix))
    return FromP256Point(der.subspan(kP256SpkiPrefix.size(), 32), der.last(32));
  const unsigned char* at = der.data();
  ERR_clear_error();
  EvpPkey key{d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size()))};
  if (!key) return Malformed("public key: " + DrainOpenSslErrors());
  if (at != der.data() + der.size()) return Malformed("public key: trailing bytes");
  SP_TRY(auto state, State::Make(std::move(key)));
  return PublicKey(std::move(state));
}

Result<PublicKey> PublicKey::FromPem(std::string_view pem) {
  const BioPtr bio{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  ERR_clear_error();
  EvpPkey key{PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr)};
  if (!key) return Malformed("public key pem: " + DrainOpenSslErrors());
  SP_TRY(auto state, State::Make(std::move(key)));
  return PublicKey(std::move(state));
}

Result<PublicKey> PublicKey::FromP256Point(ByteView x, ByteView y) {
  static const EvpPkey kCurve = CurveParameters("prime256v1");
  SP_TRY(EvpPkey key, EcPoint(kCurve, 32, x, y));
  // The encoder of OpenSSL 3.0 costs more than the import; a P-256 key has one DER form.
  Bytes spki = ToBytes(ByteView(kP256SpkiPrefix));
  Append(spki, x);
  Append(spki, y);
  return PublicKey(State::Make(std::move(key), KeyType::kP256, std::move(spki)));
}

Result<PublicKey> PublicKey::FromP384Point(ByteView x, ByteView y) {
  static const EvpPkey kCurve = CurveParameters("secp384r1");
  SP_TRY(EvpPkey key, EcPoint(kCurve, 48, x, y));
  SP_TRY(auto state, State::Make(std::move(key)));
  return PublicKey(std::move(state));
}

Result<PublicKey> PublicKey::FromRsa(ByteView modulus, uint32_t exponent) {
  if (modulus.size() > kRsaBitsMax / 8) return Error{Reason::kUnsupported, "rsa modulus too large"};
  const BignumPtr n{BN_bin2bn(modulus.data(), static_cast<int>(modulus.size()), nullptr)};
  const BignumPtr e{BN_new()};
  SP_CHECK(n && e && BN_set_word(e.get(), exponent) == 1);
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder{OSSL_PARAM_BLD_new()};
  SP_CHECK(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) == 1);
  SP_CHECK(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) == 1);
  SP_TRY(EvpPkey key, FromParameters("RSA", EVP_PKEY_PUBLIC_KEY, builder.get()));
  SP_TRY(auto state, State::Make(std::move(key)));
  return PublicKey(std::move(state));
}

Result<PublicKey> PublicKey::FromEd25519(ByteView bytes) {
  if (bytes.size() != crypto_sign_PUBLICKEYBYTES) return Malformed("ed25519 public key: size");
  EvpPkey key{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes.data(), bytes.size())};
  if (!key) return Malformed("ed25519 public key: " + DrainOpenSslErrors());
  Bytes spki = ToBytes(ByteView(kEd25519SpkiPrefix));
  Append(spki, bytes);
  return PublicKey(State::Make(std::move(key), KeyType::kEd25519, std::move(spki)));
}

KeyType PublicKey::type() const { return state_->type; }
unsigned PublicKey::bits() const {
  return static_cast<unsigned>(EVP_PKEY_get_bits(state_->key.get()));
}
const Bytes& PublicKey::spki() const { return state_->spki; }
void* PublicKey::native() const { return state_->key.get(); }

std::string PublicKey::ToPem() const {
  const BioPtr bio{BIO_new(BIO_s_mem())};
  SP_CHECK(PEM_write_bio_PUBKEY(bio.get(), state_->key.get()) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

Result<Unit> PublicKey::Verify(SignatureScheme scheme, HashAlgorithm hash, ByteView message,
                               ByteView signature) const {
  if (!Fits(scheme, type()))
    return Error{Reason::kUnsupported, "signature scheme does not fit the key"};
  if (scheme == SignatureScheme::kEd25519) return VerifyEd25519(spki(), message, signature);
  const EvpMdCtx context{EVP_MD_CTX_new()};
  EVP_PKEY_CTX* key_context = nullptr;  // borrowed from `context`
  ERR_clear_error();
  const bool good = EVP_DigestVerifyInit_ex(context.get(), &key_context, DigestName(hash), nullptr,
                                            nullptr, state_->key.get(), nullptr) == 1 &&
                    SetPadding(key_context, scheme, kSaltOfSigner) &&
                    EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                                     message.data(), message.size()) == 1;
  ERR_clear_error();
  if (!good) return Error{Reason::kBadSignature, "signature does not verify"};
  return Unit{};
}

Result<Unit> PublicKey::VerifyDigest(SignatureScheme scheme, HashAlgorithm hash, ByteView digest,
                                     ByteView signature) const {
  const bool padded = scheme == SignatureScheme::kRsaPkcs1;
  if (!Fits(scheme, type()) || (!padded && scheme != SignatureScheme::kEcdsa))
    return Error{Reason::kUnsupported, "signature scheme does not fit the key"};
  if (digest.size() != DigestSize(hash)) return Malformed("digest of another size");
  ERR_clear_error();
  const EvpPkeyCtx context{EVP_PKEY_CTX_new_from_pkey(nullptr, state_->key.get(), nullptr)};
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST,
                                       const_cast<char*>(DigestName(hash)), 0),
      OSSL_PARAM_construct_end()};
  const bool good =
      context && EVP_PKEY_verify_init_ex(context.get(), parameters) == 1 &&
      (!padded || EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1) &&
      EVP_PKEY_verify(context.get(), signature.data(), signature.size(), digest.data(),
                      digest.size()) == 1;
  ERR_clear_error();
  if (!good) return Error{Reason::kBadSignature, "signature does not verify"};
  return Unit{};
}

Result<Unit> PublicKey::Verify(ByteView message, ByteView signature) const {
  return Verify(DefaultScheme(type()), DefaultHash(type()), message, signature);
}

Result<PrivateKey> PrivateKey::FromNative(void* evp_pkey) {
  SP_TRY(auto state, PublicKey::State::Make(EvpPkey(static_cast<EVP_PKEY*>(evp_pkey))));
  return PrivateKey(PublicKey(std::move(state)));
}

Result<PrivateKey> PrivateKey::Generate(KeyType type) {
  EVP_PKEY* key = nullptr;
  switch (type) {
    case KeyType::kP256: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"); break;
    case KeyType::kP384: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"); break;
    case KeyType::kRsa:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{kRsaBitsMin});
      break;
    case KeyType::kEd25519: key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); break;
  }
  if (key == nullptr) return Error{Reason::kInternal, "generate key: " + DrainOpenSslErrors()};
  return FromNative(key);
}

namespace {
// GivePassphrase answers OpenSSL's question without ever asking a terminal.
int GivePassphrase(char* buffer, int size, int /*rwflag*/, void* user) {
  const auto* const passphrase = static_cast<const std::string_view*>(user);
  if (passphrase->empty() || passphrase->size() > static_cast<size_t>(size)) return -1;
  std::ranges::copy(*passphrase, buffer);
  return static_cast<int>(passphrase->size());
}
}  // namespace

Result<PrivateKey> PrivateKey::FromPem(std::string_view pem, std::string_view passphrase) {
  const BioPtr bio{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  ERR_clear_error();
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassphrase, &passphrase);
  if (key != nullptr) return FromNative(key);
  const std::string why = DrainOpenSslErrors();
  if (pem.find("ENCRYPTED PRIVATE KEY") != std::string_view::npos)
    return Error{Reason::kBadSignature,
                 "private key: wrong passphrase or damaged file (" + why + ")"};
  return Malformed("private key: " + why);
}

Result<std::string> PrivateKey::SealedPem(std::string_view passphrase) const {
  const BioPtr bio{BIO_new(BIO_s_secmem())};
  const EVP_CIPHER* const cipher = passphrase.empty() ? nullptr : EVP_aes_256_cbc();
  ERR_clear_error();
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), public_.state_->key.get(), cipher, passphrase.data(),
                                    static_cast<int>(passphrase.size()), nullptr, nullptr) != 1)
    return Error{Reason::kInternal, "write private key: " + DrainOpenSslErrors()};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

Result<Bytes> PrivateKey::Sign(ByteView message) const {
  const KeyType type = public_.type();
  const SignatureScheme scheme = DefaultScheme(type);
  const EvpMdCtx context{EVP_MD_CTX_new()};
  EVP_PKEY_CTX* key_context = nullptr;  // borrowed from `context`
  const char* const digest =
      scheme == SignatureScheme::kEd25519 ? nullptr : DigestName(DefaultHash(type));
  size_t size = 0;
  ERR_clear_error();
  if (EVP_DigestSignInit_ex(context.get(), &key_context, digest, nullptr, nullptr,
                            public_.state_->key.get(), nullptr) != 1 ||
      !SetPadding(key_context, scheme, RSA_PSS_SALTLEN_DIGEST) ||
      EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) != 1)
    return Error{Reason::kInternal, "sign: " + DrainOpenSslErrors()};
  Bytes out(size);
  if (EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size()) != 1)
    return Error{Reason::kInternal, "sign: " + DrainOpenSslErrors()};
  out.resize(size);
  return out;
}

void* PrivateKey::native() const { return public_.state_->key.get(); }

}  // namespace sallyport::pki
