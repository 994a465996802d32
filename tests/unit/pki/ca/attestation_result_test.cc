// Attestation results, verified by OpenSSL from the parts of the JWS and of the JWK alone.
#include "pki/ca/attestation_result.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>

namespace sallyport::pki {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

Bytes FromUrl(std::string text) {
  std::ranges::replace(text, '-', '+');
  std::ranges::replace(text, '_', '/');
  while (text.size() % 4 != 0) text += '=';
  return Base64Decode(text).value();
}

struct Jws {
  std::string input;
  JsonValue header, claims;
  Bytes signature;
};

Jws Split(const std::string& jws) {
  const size_t first = jws.find('.');
  const size_t second = jws.find('.', first + 1);
  return {jws.substr(0, second), ParseJson(AsText(FromUrl(jws.substr(0, first)))).value(),
          ParseJson(AsText(FromUrl(jws.substr(first + 1, second - first - 1)))).value(),
          FromUrl(jws.substr(second + 1))};
}

EVP_PKEY* KeyOf(const JsonValue& jwks) {
  const JsonCursor key = JsonCursor(jwks).GetElements("keys")->front();
  Bytes point{0x04};
  for (const char* const coordinate : {"x", "y"})
    Append(point, FromUrl(std::string(key.GetString(coordinate).value())));
  std::string group = "prime256v1";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      OSSL_PARAM_construct_end()};
  EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr);
  EVP_PKEY* out = nullptr;
  SP_CHECK(EVP_PKEY_fromdata_init(context) == 1 &&
           EVP_PKEY_fromdata(context, &out, EVP_PKEY_PUBLIC_KEY, parameters) == 1);
  EVP_PKEY_CTX_free(context);
  return out;
}

// OpenSslAccepts checks ES256 with the coordinates of the JWK and r || s, as RFC 7518 has it.
bool OpenSslAccepts(const JsonValue& jwks, const std::string& input, const Bytes& signature) {
  ECDSA_SIG* const parts = ECDSA_SIG_new();
  ECDSA_SIG_set0(parts, BN_bin2bn(signature.data(), 32, nullptr),
                 BN_bin2bn(signature.data() + 32, 32, nullptr));
  uint8_t* der = nullptr;
  const int size = i2d_ECDSA_SIG(parts, &der);
  EVP_PKEY* const key = KeyOf(jwks);
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  const bool accepted =
      EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, key) == 1 &&
      EVP_DigestVerify(context, der, static_cast<size_t>(size),
                       reinterpret_cast<const uint8_t*>(input.data()), input.size()) == 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  OPENSSL_free(der);
  ECDSA_SIG_free(parts);
  return accepted;
}

class AttestationResultTest : public ::testing::Test {
 protected:
  AttestationResult result_{.subject = "spiffe://edge.example/device/abc",
                            .verifier = "spiffe://edge.example/server/control",
                            .issued_at = kNow,
                            .expires = kNow + Hours(1),
                            .trust_vector = {{"instance-identity", 2}, {"executables", 3}},
                            .policy_id = "reference:00",
                            .details = JsonValue::Object({{"tier", "attested"}})};
  VerdictSigner signer_ = VerdictSigner::Make(PrivateKey::Generate(KeyType::kP256).value()).value();
};

TEST_F(AttestationResultTest, IsAJwsThatOpenSslAccepts) {
  // r and s have leading zeros once in 128 signatures.
  for (int i = 0; i < 300; ++i) {
    const Jws jws = Split(signer_.SignVerdict(result_).value());
    ASSERT_EQ(jws.signature.size(), 64u);
    ASSERT_TRUE(OpenSslAccepts(signer_.Jwks(), jws.input, jws.signature));
  }
  const Jws jws = Split(signer_.SignVerdict(result_).value());
  EXPECT_FALSE(OpenSslAccepts(signer_.Jwks(), jws.input + "x", jws.signature));
  const VerdictSigner other =
      VerdictSigner::Make(PrivateKey::Generate(KeyType::kP256).value()).value();
  EXPECT_FALSE(OpenSslAccepts(other.Jwks(), jws.input, jws.signature));
}

TEST_F(AttestationResultTest, HasTheClaimsOfTheFormat) {
  const Jws jws = Split(signer_.SignVerdict(result_).value());
  const JsonCursor header(jws.header), claims(jws.claims);
  EXPECT_EQ(header.GetString("alg").value(), "ES256");
  EXPECT_EQ(header.GetString("kid").value(),
            JsonCursor(signer_.Jwks()).GetElements("keys")->front().GetString("kid").value());
  EXPECT_EQ(claims.GetString("sub").value(), result_.subject);
  EXPECT_EQ(claims.GetInteger("iat").value(), kNow.seconds());
  EXPECT_EQ(claims.GetInteger("exp").value(), (kNow + Hours(1)).seconds());
  const JsonCursor boot = claims.Member("submods")->Member("tpm-boot").value();
  EXPECT_EQ(boot.GetString("ear.status").value(), "affirming");
  EXPECT_EQ(boot.Member("ear.trustworthiness-vector")->GetInteger("executables").value(), 3);
  EXPECT_EQ(boot.GetString("ear.appraisal-policy-id").value(), "reference:00");
}

TEST_F(AttestationResultTest, StatusIsTheWorstTier) {
  EXPECT_EQ(result_.Status(), TrustTier::kAffirming);
  result_.trust_vector["hardware"] = 32;
  EXPECT_EQ(result_.Status(), TrustTier::kWarning);
  result_.trust_vector["executables"] = 96;
  EXPECT_EQ(result_.Status(), TrustTier::kContraindicated);
  result_.trust_vector.clear();
  EXPECT_EQ(result_.Status(), TrustTier::kNone);
}

TEST(TierOf, FollowsTheRangesOfAr4si) {
  for (const auto& [claim, tier] : {std::pair<int8_t, TrustTier>{-1, TrustTier::kNone},
                                    {0, TrustTier::kNone},
                                    {1, TrustTier::kNone},
                                    {2, TrustTier::kAffirming},
                                    {31, TrustTier::kAffirming},
                                    {32, TrustTier::kWarning},
                                    {95, TrustTier::kWarning},
                                    {96, TrustTier::kContraindicated},
                                    {127, TrustTier::kContraindicated}})
    EXPECT_EQ(TierOf(claim), tier) << int{claim};
}

TEST(VerdictSigner, TakesAKeyOfP256Only) {
  EXPECT_EQ(VerdictSigner::Make(PrivateKey::Generate(KeyType::kEd25519).value()).error().rule,
            "verdict.key");
}

}  // namespace
}  // namespace sallyport::pki
