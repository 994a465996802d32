#include "pki/tpm/public_area.h"

#include <array>
#include <utility>

namespace sallyport::pki {
namespace {

Error Structure(Error error) {
  error.rule = "public.structure";
  return error;
}
Error Unsupported(std::string_view rule, std::string detail) {
  return {Reason::kUnsupported, std::move(detail), rule};
}
std::string Number(uint64_t value) { return std::to_string(value); }

constexpr uint32_t kDefaultExponent = 65537;
constexpr uint16_t kAesBitsAllowed[] = {128, 256};

size_t FieldSize(uint16_t curve) { return curve == tpm::kCurveP256 ? 32 : 48; }

Result<std::optional<uint16_t>> ReadSymmetric(ByteReader& reader) {
  SP_TRY(const uint16_t algorithm, reader.BigU16());
  if (algorithm == tpm::kAlgNull) return std::optional<uint16_t>();
  if (algorithm != tpm::kAlgAes)
    return Unsupported("public.symmetric", "algorithm " + Number(algorithm));
  SP_TRY(const uint16_t bits, reader.BigU16());
  SP_TRY(const uint16_t mode, reader.BigU16());
  if (std::ranges::find(kAesBitsAllowed, bits) == std::end(kAesBitsAllowed) || mode != tpm::kAlgCfb)
    return Unsupported("public.symmetric", "AES-" + Number(bits) + " mode " + Number(mode));
  return std::optional<uint16_t>(bits);
}

Result<SignatureScheme> SchemeFromTpm(uint16_t algorithm, bool ecc) {
  if (ecc && algorithm == tpm::kAlgEcdsa) return SignatureScheme::kEcdsa;
  if (!ecc && algorithm == tpm::kAlgRsassa) return SignatureScheme::kRsaPkcs1;
  if (!ecc && algorithm == tpm::kAlgRsapss) return SignatureScheme::kRsaPss;
  return Unsupported("public.scheme", "algorithm " + Number(algorithm));
}

Result<std::optional<KeyScheme>> ReadScheme(ByteReader& reader, bool ecc) {
  SP_TRY(const uint16_t algorithm, reader.BigU16());
  if (algorithm == tpm::kAlgNull) return std::optional<KeyScheme>();
  SP_TRY(const SignatureScheme scheme, SchemeFromTpm(algorithm, ecc));
  SP_TRY(const uint16_t hash_id, reader.BigU16());
  auto hash = HashFromTpm(hash_id);
  if (!hash) return Unsupported("public.scheme", "hash " + Number(hash_id));
  return std::optional<KeyScheme>(KeyScheme{scheme, *hash});
}

Result<EccUnique> ReadEcc(ByteReader& reader) {
  SP_TRY(const uint16_t curve, reader.BigU16());
  if (curve != tpm::kCurveP256 && curve != tpm::kCurveP384)
    return Unsupported("public.curve", "curve " + Number(curve));
  SP_TRY(const uint16_t kdf, reader.BigU16());
  if (kdf != tpm::kAlgNull) return Unsupported("public.kdf", "kdf " + Number(kdf));
  SP_TRY(const ByteView x, reader.Sized16(kPublicAreaBytesMax));
  SP_TRY(const ByteView y, reader.Sized16(kPublicAreaBytesMax));
  if (x.size() != FieldSize(curve) || y.size() != FieldSize(curve))
    return Error{Reason::kMalformed, "coordinates not padded to the field", "public.unique-size"};
  return EccUnique{curve, ToBytes(x), ToBytes(y)};
}

Result<RsaUnique> ReadRsa(ByteReader& reader) {
  SP_TRY(const uint16_t bits, reader.BigU16());
  if (bits != 2048 && bits != 3072 && bits != 4096)
    return Unsupported("public.key-bits", "RSA-" + Number(bits));
  SP_TRY(const uint32_t exponent, reader.BigU32());
  if (exponent != 0 && exponent != kDefaultExponent)
    return Unsupported("public.exponent", "exponent " + Number(exponent));
  SP_TRY(const ByteView modulus, reader.Sized16(kPublicAreaBytesMax));
  if (modulus.size() != bits / 8u)
    return Error{Reason::kMalformed, "modulus of the wrong size", "public.unique-size"};
  return RsaUnique{bits, exponent, ToBytes(modulus)};
}

Result<PublicArea> ReadArea(ByteReader& reader) {
  PublicArea area{};
  SP_TRY(const uint16_t type, reader.BigU16());
  if (type != tpm::kAlgEcc && type != tpm::kAlgRsa)
    return Unsupported("public.type", "type " + Number(type));
  const bool ecc = type == tpm::kAlgEcc;
  SP_TRY(const uint16_t name_alg, reader.BigU16());
  auto hash = HashFromTpm(name_alg);
  if (!hash) return Unsupported("public.name-alg", "algorithm " + Number(name_alg));
  area.name_alg = *hash;
  SP_TRY(area.attributes, reader.BigU32());
  if ((area.attributes & ~tpm::kKnownAttributes) != 0)
    return Error{Reason::kMalformed, "reserved attribute bits are set", "public.attributes"};
  SP_TRY(const ByteView policy, reader.Sized16(kPublicAreaBytesMax));
  if (!policy.empty() && policy.size() != DigestSize(area.name_alg))
    return Error{Reason::kMalformed, "policy of " + Number(policy.size()) + " bytes",
                 "public.policy-size"};
  area.auth_policy = ToBytes(policy);
  SP_TRY(area.symmetric_bits, ReadSymmetric(reader));
  SP_TRY(area.scheme, ReadScheme(reader, ecc));
  if (ecc) {
    SP_TRY(area.unique, ReadEcc(reader));
  } else {
    SP_TRY(area.unique, ReadRsa(reader));
  }
  SP_TRY(reader.End());
  return area;
}

uint16_t SchemeToTpm(SignatureScheme scheme) {
  switch (scheme) {
    case SignatureScheme::kEcdsa: return tpm::kAlgEcdsa;
    case SignatureScheme::kRsaPkcs1: return tpm::kAlgRsassa;
    case SignatureScheme::kRsaPss: return tpm::kAlgRsapss;
    case SignatureScheme::kEd25519: break;  // no TPM has it
  }
  std::abort();
}

void WriteUnique(ByteWriter& writer, const EccUnique& ecc) {
  writer.BigU16(ecc.curve).BigU16(tpm::kAlgNull).Sized16(ecc.x).Sized16(ecc.y);
}
void WriteUnique(ByteWriter& writer, const RsaUnique& rsa) {
  writer.BigU16(rsa.key_bits).BigU32(rsa.exponent).Sized16(rsa.modulus);
}

Result<PublicKey> KeyOf(const EccUnique& ecc) {
  return ecc.curve == tpm::kCurveP256 ? PublicKey::FromP256Point(ecc.x, ecc.y)
                                      : PublicKey::FromP384Point(ecc.x, ecc.y);
}
Result<PublicKey> KeyOf(const RsaUnique& rsa) {
  return PublicKey::FromRsa(rsa.modulus, kDefaultExponent);
}

}  // namespace

Result<HashAlgorithm> HashFromTpm(uint16_t algorithm) {
  switch (algorithm) {
    case tpm::kAlgSha256: return HashAlgorithm::kSha256;
    case tpm::kAlgSha384: return HashAlgorithm::kSha384;
    case tpm::kAlgSha512: return HashAlgorithm::kSha512;
    default: return Error{Reason::kUnsupported, "hash algorithm " + Number(algorithm)};
  }
}

Result<PublicKey> PublicArea::ToPublicKey() const {
  return std::visit([](const auto& key) { return KeyOf(key); }, unique);
}

Bytes PublicArea::Marshal() const {
  ByteWriter writer;
  writer.BigU16(std::holds_alternative<EccUnique>(unique) ? tpm::kAlgEcc : tpm::kAlgRsa);
  writer.BigU16(static_cast<uint16_t>(name_alg)).BigU32(attributes).Sized16(auth_policy);
  if (symmetric_bits)
    writer.BigU16(tpm::kAlgAes).BigU16(*symmetric_bits).BigU16(tpm::kAlgCfb);
  else
    writer.BigU16(tpm::kAlgNull);
  if (scheme)
    writer.BigU16(SchemeToTpm(scheme->scheme)).BigU16(static_cast<uint16_t>(scheme->hash));
  else
    writer.BigU16(tpm::kAlgNull);
  std::visit([&](const auto& key) { WriteUnique(writer, key); }, unique);
  return std::move(writer).Take();
}

Result<PublicArea> ParsePublicArea(ByteView tpmt_public) {
  if (tpmt_public.size() > kPublicAreaBytesMax)
    return Error{Reason::kTooLarge, "public area of " + Number(tpmt_public.size()) + " bytes",
                 "public.structure"};
  ByteReader reader(tpmt_public, "TPMT_PUBLIC");
  auto area = ReadArea(reader);
  if (!area && area.error().rule.empty()) return Structure(std::move(area).error());
  // The Name is a hash of these bytes: whatever parses must have one encoding.
  if (area && !Equal(area->Marshal(), tpmt_public))
    return Structure({Reason::kMalformed, "not the one encoding of its value"});
  return area;
}

Result<PublicArea> ParseTpm2bPublic(ByteView tpm2b_public) {
  ByteReader reader(tpm2b_public, "TPM2B_PUBLIC");
  auto inner = reader.Sized16(kPublicAreaBytesMax);
  if (!inner) return Structure(std::move(inner).error());
  auto end = reader.End();
  if (!end) return Structure(std::move(end).error());
  return ParsePublicArea(*inner);
}

}  // namespace sallyport::pki
