#include "attestation-server/operations/approval.h"

#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kAlice = "spiffe://edge.example/operator/alice";
constexpr std::string_view kAction = "device.release";

class ApprovalTest : public ::testing::Test {
 protected:
  SignedApproval Make(UnixTime expires) {
    return *MakeApproval(key, kAlice, kAction, digest, expires);
  }
  // Sign makes an approval whose body says anything.
  SignedApproval Sign(std::string_view body) {
    return *pki::StatementSigner::Make("approval", key)->SignStatement(AsBytes(body));
  }
  std::string_view Rule(const SignedApproval& approval, UnixTime at) {
    const auto verified = VerifyApproval(approval, key.public_key(), kAlice, kAction, digest, at);
    return verified ? "accepted" : verified.error().name();
  }

  const UnixTime now = UnixTime::FromSeconds(1'800'000'000);
  const UnixTime end = now + Hours(1);
  const pki::PrivateKey key = *pki::PrivateKey::Generate(pki::KeyType::kP256);
  const Sha256Digest digest = pki::Sha256(AsBytes("release"));
};

TEST_F(ApprovalTest, SaysWhoApprovedWhatUntilWhen) {
  const auto verified = VerifyApproval(Make(end), key.public_key(), kAlice, kAction, digest, now);
  ASSERT_TRUE(verified.has_value()) << verified.error().ToString();
  EXPECT_EQ(verified->operator_id(), kAlice);
  EXPECT_EQ(verified->action(), kAction);
  EXPECT_EQ(verified->digest(), digest);
  EXPECT_EQ(verified->expires(), end);
}

TEST_F(ApprovalTest, RefusesEveryFlippedBitOfTheBody) {
  const SignedApproval genuine = Make(end);
  for (size_t bit = 0; bit < genuine.body.size() * 8; ++bit) {
    SignedApproval flipped = genuine;
    flipped.body[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    ASSERT_EQ(Rule(flipped, now), "approval.signature") << bit;
  }
}

TEST_F(ApprovalTest, RefusesEveryFlippedBitOfTheSignature) {
  const SignedApproval genuine = Make(end);
  for (size_t bit = 0; bit < genuine.signature.size() * 8; ++bit) {
    SignedApproval flipped = genuine;
    flipped.signature[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    ASSERT_EQ(Rule(flipped, now), "approval.signature") << bit;
  }
}

TEST_F(ApprovalTest, RefusesATruncatedBodyOrSignature) {
  const SignedApproval genuine = Make(end);
  for (size_t size = 0; size < genuine.body.size(); ++size) {
    SignedApproval cut = genuine;
    cut.body.resize(size);
    ASSERT_EQ(Rule(cut, now), "approval.signature") << size;
  }
  for (size_t size = 0; size < genuine.signature.size(); ++size) {
    SignedApproval cut = genuine;
    cut.signature.resize(size);
    ASSERT_EQ(Rule(cut, now), "approval.signature") << size;
  }
}

TEST_F(ApprovalTest, RefusesAnotherKeyAndAnotherRole) {
  const pki::PrivateKey other = *pki::PrivateKey::Generate(pki::KeyType::kP256);
  EXPECT_EQ(Rule(*MakeApproval(other, kAlice, kAction, digest, end), now), "approval.signature");

  const SignedApproval genuine = Make(end);
  EXPECT_EQ(Rule(*pki::StatementSigner::Make("update", key)->SignStatement(genuine.body), now),
            "approval.signature");
}

TEST_F(ApprovalTest, RefusesAnotherOperatorActionOrDigest) {
  EXPECT_EQ(
      Rule(*MakeApproval(key, "spiffe://edge.example/operator/bob", kAction, digest, end), now),
      "approval.operator");
  EXPECT_EQ(Rule(*MakeApproval(key, kAlice, "device.decommission", digest, end), now),
            "approval.action");
  EXPECT_EQ(Rule(*MakeApproval(key, kAlice, kAction, pki::Sha256(AsBytes("other")), end), now),
            "approval.digest");
}

TEST_F(ApprovalTest, EndsInTheSecondItNames) {
  EXPECT_EQ(Rule(Make(end), end - Milliseconds(1)), "accepted");
  EXPECT_EQ(Rule(Make(end), end), "approval.expired");
  EXPECT_EQ(Rule(Make(end), end + Seconds(1)), "approval.expired");
}

TEST_F(ApprovalTest, RefusesToReachTooFarAhead) {
  EXPECT_EQ(Rule(Make(now + kApprovalLifetimeMax), now), "accepted");
  EXPECT_EQ(Rule(Make(now + kApprovalLifetimeMax + Seconds(1)), now), "approval.expired");
}

TEST_F(ApprovalTest, RefusesASignedBodyThatIsNotAnApproval) {
  const std::string hex = HexEncode(digest);
  const std::string good =
      R"({"action":"device.release","digest":")" + hex +
      R"(","expires":"2027-01-15T09:00:00Z","operator":"spiffe://edge.example/operator/alice")";
  EXPECT_EQ(Rule(Sign(good + "}"), now), "accepted");
  EXPECT_EQ(Rule(Sign(good + R"(,"force":true})"), now), "json.unknown-key");
  EXPECT_EQ(Rule(Sign(good + R"(,"action":"device.release"})"), now), "json.duplicate-key");
  EXPECT_EQ(Rule(Sign(good), now), "json.syntax");
  EXPECT_EQ(Rule(Sign("{}"), now), "json.missing-key");
  EXPECT_EQ(Rule(Sign("[]"), now), "json.type");
  EXPECT_EQ(Rule(Sign(good + "}" + std::string(2048, ' ')), now), "json.size");
  EXPECT_EQ(
      Rule(Sign(R"({"action":"device.release","digest":"","expires":"soon","operator":""})"), now),
      "malformed");
}

TEST_F(ApprovalTest, TakesNoUpperCaseDigest) {
  std::string body = ToString(Make(end).body);
  const std::string hex = HexEncode(digest);
  std::string upper = hex;
  for (char& c : upper) c = static_cast<char>(::toupper(c));
  body.replace(body.find(hex), hex.size(), upper);
  EXPECT_EQ(Rule(Sign(body), now), "approval.digest");
}

}  // namespace
}  // namespace sallyport::server
