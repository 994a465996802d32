#include "pki/tpm/signature.h"

namespace sallyport::pki {
namespace {

constexpr size_t kIntegerBytesMax = 48;  // of r and s: P-384
constexpr uint8_t kDerInteger = 0x02;
constexpr uint8_t kDerSequence = 0x30;
// Both integers of P-384 with sign bytes make 102: one DER length byte is always enough.
static_assert(2 * (kIntegerBytesMax + 3) < 0x80);

Result<Bytes> DerInteger(ByteView value) {
  while (!value.empty() && value.front() == 0) value = value.subspan(1);
  if (value.empty() || value.size() > kIntegerBytesMax)
    return Error{Reason::kMalformed, "r or s of " + std::to_string(value.size()) + " bytes",
                 "signature.range"};
  const bool sign_byte = (value.front() & 0x80) != 0;
  ByteWriter writer;
  writer.U8(kDerInteger).U8(static_cast<uint8_t>(value.size() + (sign_byte ? 1 : 0)));
  if (sign_byte) writer.U8(0);
  return std::move(writer.Raw(value)).Take();
}

Result<Bytes> ReadEcdsa(ByteReader& reader) {
  SP_TRY(const ByteView r, reader.Sized16(kTpmSignatureBytesMax));
  SP_TRY(const ByteView s, reader.Sized16(kTpmSignatureBytesMax));
  return EcdsaDer(r, s);
}

Result<Bytes> ReadRsa(ByteReader& reader) {
  SP_TRY(const ByteView bytes, reader.Sized16(kTpmSignatureBytesMax));
  return ToBytes(bytes);
}

Result<SignatureScheme> SchemeFromTpm(uint16_t algorithm) {
  switch (algorithm) {
    case tpm::kAlgEcdsa: return SignatureScheme::kEcdsa;
    case tpm::kAlgRsassa: return SignatureScheme::kRsaPkcs1;
    case tpm::kAlgRsapss: return SignatureScheme::kRsaPss;
    default:
      return Error{Reason::kUnsupported, "scheme " + std::to_string(algorithm),
                   "signature.algorithm"};
  }
}

Result<TpmSignature> ReadSignature(ByteReader& reader) {
  SP_TRY(const uint16_t algorithm, reader.BigU16());
  SP_TRY(const SignatureScheme scheme, SchemeFromTpm(algorithm));
  SP_TRY(const uint16_t hash_id, reader.BigU16());
  auto hash = HashFromTpm(hash_id);
  if (!hash)
    return Error{Reason::kUnsupported, "hash " + std::to_string(hash_id), "signature.algorithm"};
  SP_TRY(Bytes bytes, scheme == SignatureScheme::kEcdsa ? ReadEcdsa(reader) : ReadRsa(reader));
  SP_TRY(reader.End());
  return TpmSignature{{scheme, *hash}, std::move(bytes)};
}

}  // namespace

Result<Bytes> EcdsaDer(ByteView r, ByteView s) {
  SP_TRY(const Bytes der_r, DerInteger(r));
  SP_TRY(const Bytes der_s, DerInteger(s));
  ByteWriter writer;
  writer.U8(kDerSequence)
      .U8(static_cast<uint8_t>(der_r.size() + der_s.size()))
      .Raw(der_r)
      .Raw(der_s);
  return std::move(writer).Take();
}

Result<TpmSignature> ParseTpmSignature(ByteView tpmt_signature) {
  if (tpmt_signature.size() > kTpmSignatureBytesMax)
    return Error{Reason::kTooLarge, std::to_string(tpmt_signature.size()) + " bytes",
                 "signature.structure"};
  ByteReader reader(tpmt_signature, "TPMT_SIGNATURE");
  auto signature = ReadSignature(reader);
  if (!signature && signature.error().rule.empty()) {
    Error error = std::move(signature).error();
    error.rule = "signature.structure";
    return error;
  }
  return signature;
}

Result<Unit> VerifyTpmSignature(const PublicArea& signer, ByteView message,
                                ByteView tpmt_signature) {
  SP_TRY(const TpmSignature signature, ParseTpmSignature(tpmt_signature));
  if (!signer.scheme || *signer.scheme != signature.scheme)
    return Error{Reason::kMismatch, "not the one scheme of the signing key", "signature.scheme"};
  SP_TRY(const PublicKey key, signer.ToPublicKey());
  return key.Verify(signature.scheme.scheme, signature.scheme.hash, message, signature.bytes);
}

}  // namespace sallyport::pki
