#include "pki/ca/attestation_result.h"

#include <algorithm>

#include "pki/crypto/hash.h"
#include "pki/crypto/p256_spki.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kProfile = "tag:github.com,2023:veraison/ear";
constexpr std::string_view kSubmodule = "tpm-boot";
constexpr size_t kCoordinateBytes = 32;

// Base64url without padding (RFC 7515).
std::string Base64UrlEncode(ByteView bytes) {
  std::string out = Base64Encode(bytes);
  out.erase(std::ranges::find(out, '='), out.end());
  std::ranges::replace(out, '+', '-');
  std::ranges::replace(out, '/', '_');
  return out;
}

// ReadInteger takes a DER INTEGER as big-endian bytes of the size of a coordinate.
Result<Bytes> ReadInteger(ByteReader& reader) {
  SP_TRY(const uint8_t tag, reader.U8());
  SP_TRY(const uint8_t size, reader.U8());
  SP_TRY(ByteView value, reader.Take(size));
  while (!value.empty() && value.front() == 0) value = value.subspan(1);
  if (tag != 0x02 || value.size() > kCoordinateBytes)
    return Error{Reason::kInternal, "a signature of another form", "verdict.signature"};
  Bytes out(kCoordinateBytes - value.size(), 0);
  Append(out, value);
  return out;
}

// RawSignature turns Ecdsa-Sig-Value into r || s (RFC 7518, 3.4).
Result<Bytes> RawSignature(ByteView der) {
  ByteReader reader(der, "signature");
  SP_TRY(reader.Take(2));  // SEQUENCE and its length: below 128 for P-256
  SP_TRY(Bytes out, ReadInteger(reader));
  SP_TRY(const Bytes s, ReadInteger(reader));
  SP_TRY(reader.End());
  Append(out, s);
  return out;
}

}  // namespace

TrustTier TierOf(int8_t claim) {
  if (claim >= 96) return TrustTier::kContraindicated;
  if (claim >= 32) return TrustTier::kWarning;
  return claim >= 2 ? TrustTier::kAffirming : TrustTier::kNone;
}

std::string_view TrustTierName(TrustTier tier) {
  switch (tier) {
    case TrustTier::kNone: return "none";
    case TrustTier::kAffirming: return "affirming";
    case TrustTier::kWarning: return "warning";
    case TrustTier::kContraindicated: return "contraindicated";
  }
  std::abort();
}

TrustTier AttestationResult::Status() const {
  TrustTier worst = TrustTier::kNone;
  for (const auto& [name, claim] : trust_vector) worst = std::max(worst, TierOf(claim));
  return worst;
}

JsonValue ClaimsOf(const AttestationResult& result) {
  std::vector<JsonMember> vector;
  for (const auto& [name, claim] : result.trust_vector) vector.push_back({name, claim});
  std::vector<JsonMember> appraisal{
      {"ear.status", TrustTierName(result.Status())},
      {"ear.trustworthiness-vector", JsonValue::Object(std::move(vector))}};
  if (!result.policy_id.empty()) appraisal.push_back({"ear.appraisal-policy-id", result.policy_id});
  return JsonValue::Object(
      {{"eat_profile", kProfile},
       {"iss", result.verifier},
       {"sub", result.subject},
       {"iat", result.issued_at.seconds()},
       {"exp", result.expires.seconds()},
       {"ear.verifier-id",
        JsonValue::Object({{"developer", "sallyport"}, {"build", result.verifier}})},
       {"submods",
        JsonValue::Object({{std::string(kSubmodule), JsonValue::Object(std::move(appraisal))}})},
       {"sallyport", result.details}});
}

VerdictSigner::VerdictSigner(PrivateKey key, Bytes x, Bytes y)
    : key_(std::move(key)), x_(Base64UrlEncode(x)), y_(Base64UrlEncode(y)) {
  // RFC 7638: the required members, sorted, without white space.
  const std::string thumbprint =
      WriteJson(JsonValue::Object({{"crv", "P-256"}, {"kty", "EC"}, {"x", x_}, {"y", y_}}));
  kid_ = Base64UrlEncode(Sha256(AsBytes(thumbprint)).view());
}

Result<VerdictSigner> VerdictSigner::Make(PrivateKey key) {
  const Bytes& spki = key.public_key().spki();
  if (key.public_key().type() != KeyType::kP256 || spki.size() != kP256SpkiSize)
    return Error{Reason::kUnsupported, "verdicts are signed with P-256", "verdict.key"};
  const ByteView point = ByteView(spki).subspan(kP256SpkiPrefix.size());
  return VerdictSigner(key, ToBytes(point.first(kCoordinateBytes)),
                       ToBytes(point.subspan(kCoordinateBytes)));
}

Result<std::string> VerdictSigner::SignVerdict(const AttestationResult& result) const {
  const std::string header =
      WriteJson(JsonValue::Object({{"alg", "ES256"}, {"kid", kid_}, {"typ", "ear+jwt"}}));
  const std::string signing_input = Base64UrlEncode(AsBytes(header)) + "." +
                                    Base64UrlEncode(AsBytes(WriteJson(ClaimsOf(result))));
  SP_TRY(const Bytes der, key_.Sign(AsBytes(signing_input)));
  SP_TRY(const Bytes raw, RawSignature(der));
  return signing_input + "." + Base64UrlEncode(raw);
}

JsonValue VerdictSigner::Jwks() const {
  return JsonValue::Object({{"keys", JsonValue::Array({JsonValue::Object({{"kty", "EC"},
                                                                          {"crv", "P-256"},
                                                                          {"alg", "ES256"},
                                                                          {"use", "sig"},
                                                                          {"kid", kid_},
                                                                          {"x", x_},
                                                                          {"y", y_}})})}});
}

}  // namespace sallyport::pki
