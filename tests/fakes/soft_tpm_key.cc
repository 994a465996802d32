#include "tests/fakes/soft_tpm_key.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "pki/crypto/openssl_ptr.h"

namespace sallyport {
namespace {

pki::PrivateKey MakeKey(const SoftKeyKind& kind) {
  if (kind.type != pki::KeyType::kRsa) return pki::PrivateKey::Generate(kind.type).value();
  return pki::PrivateKey::FromNative(
             EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{kind.rsa_bits}))
      .value();
}

Bytes Modulus(const pki::PrivateKey& key, size_t size) {
  BIGNUM* raw = nullptr;
  SP_CHECK(EVP_PKEY_get_bn_param(static_cast<EVP_PKEY*>(key.native()), "n", &raw) == 1);
  const pki::BignumPtr n(raw);
  Bytes out(size);
  SP_CHECK(BN_bn2binpad(n.get(), out.data(), static_cast<int>(size)) == static_cast<int>(size));
  return out;
}

pki::PublicArea AreaOf(const pki::PrivateKey& key, uint32_t attributes, const SoftKeyKind& kind) {
  pki::PublicArea area{.name_alg = pki::HashAlgorithm::kSha256,
                       .attributes = attributes,
                       .auth_policy = {},
                       .symmetric_bits = std::nullopt,
                       .scheme = pki::KeyScheme{kind.scheme, kind.hash},
                       .unique = pki::EccUnique{}};
  if (kind.type == pki::KeyType::kRsa) {
    area.unique =
        pki::RsaUnique{static_cast<uint16_t>(kind.rsa_bits), 0, Modulus(key, kind.rsa_bits / 8)};
    return area;
  }
  const bool p256 = kind.type == pki::KeyType::kP256;
  const size_t size = p256 ? 32 : 48;
  const ByteView point = ByteView(key.public_key().spki()).last(2 * size);
  area.unique = pki::EccUnique{p256 ? pki::tpm::kCurveP256 : pki::tpm::kCurveP384,
                               ToBytes(point.first(size)), ToBytes(point.last(size))};
  return area;
}

Bytes RawSignature(const pki::PrivateKey& key, const pki::KeyScheme& scheme, ByteView message) {
  const pki::EvpMdCtx context{EVP_MD_CTX_new()};
  EVP_PKEY_CTX* key_context = nullptr;  // borrowed from `context`
  const std::string digest(pki::HashName(scheme.hash));
  SP_CHECK(EVP_DigestSignInit_ex(context.get(), &key_context, digest.c_str(), nullptr, nullptr,
                                 static_cast<EVP_PKEY*>(key.native()), nullptr) == 1);
  if (scheme.scheme == pki::SignatureScheme::kRsaPss)
    SP_CHECK(EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) == 1);
  size_t size = 0;
  SP_CHECK(EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) == 1);
  Bytes out(size);
  SP_CHECK(EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size()) == 1);
  out.resize(size);
  return out;
}

uint16_t SchemeId(pki::SignatureScheme scheme) {
  switch (scheme) {
    case pki::SignatureScheme::kEcdsa: return pki::tpm::kAlgEcdsa;
    case pki::SignatureScheme::kRsaPkcs1: return pki::tpm::kAlgRsassa;
    case pki::SignatureScheme::kRsaPss: return pki::tpm::kAlgRsapss;
    case pki::SignatureScheme::kEd25519: break;  // no TPM has it
  }
  std::abort();
}

}  // namespace

SoftTpmKey::SoftTpmKey(uint32_t attributes, const SoftKeyKind& kind)
    : key_(MakeKey(kind)), area_(AreaOf(key_, attributes, kind)) {}

Bytes SoftTpmKey::Sign(ByteView attest) const {
  const pki::KeyScheme scheme = *area_.scheme;
  const Bytes raw = RawSignature(key_, scheme, attest);
  ByteWriter out;
  out.BigU16(SchemeId(scheme.scheme)).BigU16(static_cast<uint16_t>(scheme.hash));
  if (scheme.scheme != pki::SignatureScheme::kEcdsa) return std::move(out.Sized16(raw)).Take();
  ByteReader reader(raw, "signature");  // SEQUENCE of two INTEGERs, short lengths
  static_cast<void>(reader.Take(2).value());
  for (int i = 0; i < 2; ++i) {
    static_cast<void>(reader.U8().value());
    const ByteView number = reader.Take(reader.U8().value()).value();
    out.Sized16(number.front() == 0 ? number.subspan(1) : number);
  }
  return std::move(out).Take();
}

}  // namespace sallyport
