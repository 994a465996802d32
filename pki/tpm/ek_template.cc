#include "pki/tpm/ek_template.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "pki/crypto/openssl_ptr.h"

namespace sallyport::pki {
namespace {

constexpr uint32_t kLowRange = tpm::kFixedTpm | tpm::kFixedParent | tpm::kSensitiveDataOrigin |
                               tpm::kAdminWithPolicy | tpm::kRestricted | tpm::kDecrypt;
constexpr uint32_t kHighRange = kLowRange | tpm::kUserWithAuth;

constexpr uint8_t kPolicyA[] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8, 0x1A, 0x90, 0xCC,
                                0x8D, 0x46, 0xA5, 0xD7, 0x24, 0xFD, 0x52, 0xD7, 0x6E, 0x06, 0x52,
                                0x0B, 0x64, 0xF2, 0xA1, 0xDA, 0x1B, 0x33, 0x14, 0x69, 0xAA};
// PolicyB is PolicyOR of PolicyA and PolicyC (an authorisation that an NV index holds).
constexpr uint8_t kPolicyB256[] = {0xCA, 0x3D, 0x0A, 0x99, 0xA2, 0xB9, 0x39, 0x06, 0xF7, 0xA3, 0x34,
                                   0x24, 0x14, 0xEF, 0xCF, 0xB3, 0xA3, 0x85, 0xD4, 0x4C, 0xD1, 0xFD,
                                   0x45, 0x90, 0x89, 0xD1, 0x9B, 0x50, 0x71, 0xC0, 0xB7, 0xA0};
constexpr uint8_t kPolicyB384[] = {
    0xB2, 0x6E, 0x7D, 0x28, 0xD1, 0x1A, 0x50, 0xBC, 0x53, 0xD8, 0x82, 0xBC, 0xF5, 0xFD, 0x3A, 0x1A,
    0x07, 0x41, 0x48, 0xBB, 0x35, 0xD3, 0xB4, 0xE4, 0xCB, 0x1C, 0x0A, 0xD9, 0xBD, 0xE4, 0x19, 0xCA,
    0xCB, 0x47, 0xBA, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0F, 0x9F, 0xC0, 0x00, 0xF3, 0xF8, 0x0E, 0x12};

struct Facts {
  EkTemplate id;
  HashAlgorithm name_alg;
  uint16_t aes_bits;
  uint16_t curve;     // 0: RSA
  uint16_t rsa_bits;  // 0: ECC
};
constexpr Facts kFacts[] = {{EkTemplate::kL1Rsa2048, HashAlgorithm::kSha256, 128, 0, 2048},
                            {EkTemplate::kL2P256, HashAlgorithm::kSha256, 128, tpm::kCurveP256, 0},
                            {EkTemplate::kH1Rsa2048, HashAlgorithm::kSha256, 128, 0, 2048},
                            {EkTemplate::kH2P256, HashAlgorithm::kSha256, 128, tpm::kCurveP256, 0},
                            {EkTemplate::kH3P384, HashAlgorithm::kSha384, 256, tpm::kCurveP384, 0},
                            {EkTemplate::kH6Rsa3072, HashAlgorithm::kSha384, 256, 0, 3072},
                            {EkTemplate::kH7Rsa4096, HashAlgorithm::kSha384, 256, 0, 4096}};

const Facts& FactsOf(EkTemplate ek_template) {
  for (const Facts& facts : kFacts)
    if (facts.id == ek_template) return facts;
  std::abort();
}

ByteView PolicyOf(const Facts& facts) {
  if (!EkIsHighRange(facts.id)) return kPolicyA;
  return facts.name_alg == HashAlgorithm::kSha256 ? ByteView(kPolicyB256) : ByteView(kPolicyB384);
}

size_t CoordinateBytes(const Facts& facts) { return facts.curve == tpm::kCurveP256 ? 32 : 48; }

PublicArea AreaOf(const Facts& facts, std::variant<EccUnique, RsaUnique> unique) {
  return {.name_alg = facts.name_alg,
          .attributes = EkIsHighRange(facts.id) ? kHighRange : kLowRange,
          .auth_policy = ToBytes(PolicyOf(facts)),
          .symmetric_bits = facts.aes_bits,
          .scheme = std::nullopt,
          .unique = std::move(unique)};
}

std::optional<Bytes> Number(const EVP_PKEY* key, const char* name, size_t size) {
  BIGNUM* raw = nullptr;
  const bool got = EVP_PKEY_get_bn_param(key, name, &raw) == 1;
  const BignumPtr number(raw);
  Bytes out(size);
  if (!got || BN_bn2binpad(number.get(), out.data(), static_cast<int>(size)) < 0)
    return std::nullopt;
  return out;
}

bool HasUsualExponent(const EVP_PKEY* key) {
  BIGNUM* raw = nullptr;
  const bool got = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &raw) == 1;
  const BignumPtr exponent(raw);
  return got && BN_is_word(exponent.get(), RSA_F4) == 1;
}

bool Makes(const Facts& facts, const PublicKey& key) {
  if (key.type() == KeyType::kP256) return facts.curve == tpm::kCurveP256;
  if (key.type() == KeyType::kP384) return facts.curve == tpm::kCurveP384;
  return key.type() == KeyType::kRsa && facts.rsa_bits == key.bits();
}

Error RefusedKey() {
  return {Reason::kUnsupported,
          "neither P-256, P-384 nor RSA of 2048, 3072 or 4096 bits with exponent 65537",
          "ek.key-type"};
}

// Build is the area of a key that `facts` makes.
Result<PublicArea> Build(const Facts& facts, const PublicKey& key) {
  const auto* const native = static_cast<const EVP_PKEY*>(key.native());
  ERR_clear_error();
  if (facts.curve != 0) {
    std::optional<Bytes> x = Number(native, OSSL_PKEY_PARAM_EC_PUB_X, CoordinateBytes(facts));
    std::optional<Bytes> y = Number(native, OSSL_PKEY_PARAM_EC_PUB_Y, CoordinateBytes(facts));
    if (!x || !y) return RefusedKey();
    return AreaOf(facts, EccUnique{facts.curve, *std::move(x), *std::move(y)});
  }
  std::optional<Bytes> modulus = Number(native, OSSL_PKEY_PARAM_RSA_N, facts.rsa_bits / 8u);
  if (!modulus || !HasUsualExponent(native)) return RefusedKey();
  return AreaOf(facts, RsaUnique{facts.rsa_bits, 0, *std::move(modulus)});
}

}  // namespace

ByteView EkPolicyA() { return kPolicyA; }

PublicArea EkTemplateArea(EkTemplate ek_template) {
  const Facts& facts = FactsOf(ek_template);
  const bool high = EkIsHighRange(ek_template);
  if (facts.curve != 0) {
    const size_t size = high ? 0 : CoordinateBytes(facts);
    return AreaOf(facts, EccUnique{facts.curve, Bytes(size, 0), Bytes(size, 0)});
  }
  return AreaOf(facts, RsaUnique{facts.rsa_bits, 0, Bytes(high ? 0 : facts.rsa_bits / 8u, 0)});
}

Result<PublicArea> EkPublicFromKey(const PublicKey& key) {
  for (const Facts& facts : kFacts)
    if (Makes(facts, key)) return Build(facts, key);
  return RefusedKey();
}

Result<PublicArea> MatchEkTemplate(const PublicKey& key, ByteView ek_public) {
  bool made = false;
  for (const Facts& facts : kFacts) {
    if (!Makes(facts, key)) continue;
    SP_TRY(PublicArea area, Build(facts, key));
    if (Equal(area.Marshal(), ek_public)) return area;
    made = true;
  }
  if (!made) return RefusedKey();
  return Error{Reason::kMismatch, "EK is not the key of its certificate in a known template",
               "ek.key-match"};
}

std::optional<EkTemplate> FindEkTemplate(const PublicArea& area) {
  for (const Facts& facts : kFacts) {
    const auto* const ecc = std::get_if<EccUnique>(&area.unique);
    const auto* const rsa = std::get_if<RsaUnique>(&area.unique);
    const bool fits = ecc != nullptr ? ecc->curve == facts.curve
                                     : rsa->key_bits == facts.rsa_bits && rsa->exponent == 0;
    if (fits && area == AreaOf(facts, area.unique)) return facts.id;
  }
  return std::nullopt;
}

}  // namespace sallyport::pki
