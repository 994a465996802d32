#include "pki/ca/signed_statement.h"

namespace sallyport::pki {
namespace {

class Statement : public ::testing::TestWithParam<KeyType> {
 protected:
  StatementSigner signer = *StatementSigner::Make("signed-time", *PrivateKey::Generate(GetParam()));
  SignedStatement statement = *signer.SignStatement(AsBytes("body"));
};

TEST_P(Statement, VerifiesUnderItsRole) {
  const auto body = VerifyStatement(signer.public_key(), "signed-time", statement);

  ASSERT_TRUE(body) << body.error().ToString();
  EXPECT_EQ(AsText(body->view()), "body");
}

TEST_P(Statement, IsRefusedUnderAnotherRole) {
  EXPECT_EQ(VerifyStatement(signer.public_key(), "checkpoint", statement).error().rule,
            "statement.signature");
}

TEST_P(Statement, IsRefusedUnderAnotherKey) {
  const PrivateKey other = *PrivateKey::Generate(GetParam());

  EXPECT_EQ(VerifyStatement(other.public_key(), "signed-time", statement).error().reason,
            Reason::kBadSignature);
}

TEST_P(Statement, IsRefusedWithAnyBitChanged) {
  for (Bytes SignedStatement::* const part : {&SignedStatement::body, &SignedStatement::signature})
    for (size_t bit = 0; bit < (statement.*part).size() * 8; ++bit) {
      SignedStatement bad = statement;
      (bad.*part)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      EXPECT_FALSE(VerifyStatement(signer.public_key(), "signed-time", bad)) << bit;
    }
}

TEST_P(Statement, IsRefusedWhenCutOrExtended) {
  SignedStatement bad = statement;
  bad.body.push_back(0);
  EXPECT_FALSE(VerifyStatement(signer.public_key(), "signed-time", bad));
  bad.body.resize(3);
  EXPECT_FALSE(VerifyStatement(signer.public_key(), "signed-time", bad));
  bad = statement;
  bad.signature.pop_back();
  EXPECT_FALSE(VerifyStatement(signer.public_key(), "signed-time", bad));
}

INSTANTIATE_TEST_SUITE_P(Keys, Statement, ::testing::Values(KeyType::kEd25519, KeyType::kP256));

TEST(StatementBytes, AreLabelLengthAndBody) {
  EXPECT_EQ(StatementBytes("signed-time", AsBytes("ab")),
            ToBytes(std::string_view("sallyport/signed-time/v1\0\0\0\0\0\0\0\0\2ab", 35)));
}

TEST(StatementSigner, RefusesOtherKeyTypes) {
  EXPECT_EQ(
      StatementSigner::Make("signed-time", *PrivateKey::Generate(KeyType::kP384)).error().rule,
      "statement.key");
  EXPECT_EQ(VerifyStatement(PrivateKey::Generate(KeyType::kP384)->public_key(), "signed-time", {})
                .error()
                .reason,
            Reason::kUnsupported);
}

}  // namespace
}  // namespace sallyport::pki
