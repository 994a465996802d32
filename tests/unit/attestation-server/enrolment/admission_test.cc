#include "attestation-server/enrolment/admission.h"

#include "attestation-server/enrolment/tokens.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/fake_random.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);
const Sha256Digest kEk = Sha256Digest::FromArray({1});
const Sha256Digest kOtherEk = Sha256Digest::FromArray({2});

TokenRecord Token() {
  TokenRecord token;
  token.id = "t1";
  token.profile = "default";
  token.placement.site = "berlin";
  token.uses_max = 1;
  token.created_at = kNow - Hours(1);
  token.expires_at = kNow + Hours(1);
  token.auto_approve = true;
  return token;
}

std::string_view Rule(const std::optional<TokenRecord>& token) {
  const auto decided = DecideAdmission(std::nullopt, token, true, kEk, kNow);
  return decided.has_value() ? "" : decided.error().rule;
}

TEST(DecideAdmission, ListedEkNeedsNoTokenAndNoApproval) {
  ListedEk listed;
  listed.ek_spki_hash = kEk;
  listed.device_name = "cam-1";
  listed.profile = "lab";

  const AdmissionGround ground = DecideAdmission(listed, std::nullopt, false, kEk, kNow).value();

  EXPECT_EQ(ground.kind, ProvenanceKind::kEkList);
  EXPECT_EQ(ground.device_name, "cam-1");
  EXPECT_EQ(ground.profile, "lab");
  EXPECT_FALSE(ground.pending);
}

TEST(DecideAdmission, AListedEkDoesNotSpendATokenThatCameWithIt) {
  EXPECT_EQ(DecideAdmission(ListedEk{}, Token(), true, kEk, kNow).value().token_id, "");
}

TEST(DecideAdmission, RefusesAnUnlistedEkWithoutAToken) {
  EXPECT_EQ(DecideAdmission(std::nullopt, std::nullopt, false, kEk, kNow).error().rule,
            "admission.unlisted");
}

TEST(DecideAdmission, RefusesAnUnknownToken) { EXPECT_EQ(Rule(std::nullopt), "token.unknown"); }

TEST(DecideAdmission, RefusesASpentToken) {
  TokenRecord token = Token();
  token.uses = 1;
  EXPECT_EQ(Rule(token), "token.spent");
}

TEST(DecideAdmission, RefusesATokenAtTheMomentItEnds) {
  TokenRecord token = Token();
  token.expires_at = kNow + Milliseconds(1);
  EXPECT_EQ(Rule(token), "");
  token.expires_at = kNow;
  EXPECT_EQ(Rule(token), "token.expired");
}

TEST(DecideAdmission, RefusesARevokedToken) {
  TokenRecord token = Token();
  token.revoked = true;
  EXPECT_EQ(Rule(token), "token.revoked");
}

TEST(DecideAdmission, RefusesATokenOfAnotherEk) {
  TokenRecord token = Token();
  token.ek_spki_hash = kOtherEk;
  EXPECT_EQ(Rule(token), "token.other-ek");
}

bool Pending(const TokenRecord& token) {
  return DecideAdmission({}, token, true, kEk, kNow).value().pending;
}

TEST(DecideAdmission, TokenBoundToTheEkNeedsNoApproval) {
  TokenRecord token = Token();
  token.auto_approve = false;
  EXPECT_TRUE(Pending(token));
  token.ek_spki_hash = kEk;
  EXPECT_FALSE(Pending(token));
}

TEST(DecideAdmission, AutoApprovalEndsAboveItsLimits) {
  TokenRecord token = Token();
  token.uses_max = kAutoApproveCountMax;
  token.expires_at = token.created_at + kAutoApproveLifetimeMax;
  EXPECT_FALSE(Pending(token));
  token.uses_max = kAutoApproveCountMax + 1;
  EXPECT_TRUE(Pending(token));
  token.uses_max = 1;
  token.expires_at = token.created_at + kAutoApproveLifetimeMax + Milliseconds(1);
  EXPECT_TRUE(Pending(token));
}

TEST(Tokens, AreStoredHashedUnderALabel) {
  FakeRandom random;
  const std::string token = NewToken(random);
  EXPECT_EQ(token.size(), 52u);
  EXPECT_NE(NewToken(random), token);
  EXPECT_EQ(HashToken(token).value(), HashToken(token).value());
  EXPECT_NE(HashToken(token).value(), pki::Sha256(AsBytes(token)));
}

TEST(Tokens, RefuseWhatIsNoToken) {
  EXPECT_EQ(HashToken("").error().rule, "token.malformed");
  EXPECT_EQ(HashToken(std::string(51, 'a')).error().rule, "token.malformed");
  EXPECT_EQ(HashToken(std::string(53, 'a')).error().rule, "token.malformed");
  EXPECT_EQ(HashToken(std::string(52, 'A')).error().rule, "token.malformed");
}

}  // namespace
}  // namespace sallyport::server
