#include "attestation-server/archive/checkpoint.h"

#include "tests/unit/attestation-server/store/store_fixture.h"

namespace sallyport::server {
namespace {

const Checkpoint kCheckpoint{
    "edge.example", 3, {7, HashOf(9)}, UnixTime::FromSeconds(1'790'000'000)};

TEST(Checkpoint, ComesBackAsItWasSigned) {
  const auto key = pki::PrivateKey::Generate(pki::KeyType::kEd25519).value();
  const auto statement = CheckpointSigner::Make(key)->SignCheckpoint(kCheckpoint).value();
  const Checkpoint read = VerifyCheckpoint(key.public_key(), statement).value();
  EXPECT_EQ(read.trust_domain, "edge.example");
  EXPECT_EQ(read.incarnation, 3u);
  EXPECT_EQ(read.head, kCheckpoint.head);
  EXPECT_EQ(read.at, kCheckpoint.at);
}

TEST(Checkpoint, OfAnotherKeyRoleOrWithAnyByteChangedIsRefused) {
  const auto key = pki::PrivateKey::Generate(pki::KeyType::kEd25519).value();
  const auto statement = CheckpointSigner::Make(key)->SignCheckpoint(kCheckpoint).value();
  const auto other = pki::PrivateKey::Generate(pki::KeyType::kEd25519).value();
  EXPECT_EQ(VerifyCheckpoint(other.public_key(), statement).error().rule, "checkpoint.signature");
  for (size_t i = 0; i < statement.body.size(); ++i) {
    pki::SignedStatement changed = statement;
    changed.body[i] ^= 1;
    EXPECT_EQ(VerifyCheckpoint(key.public_key(), changed).error().rule, "checkpoint.signature");
  }
  const auto role = pki::StatementSigner::Make("signed-time", key).value();
  EXPECT_EQ(
      VerifyCheckpoint(key.public_key(), role.SignStatement(statement.body).value()).error().rule,
      "checkpoint.signature");
}

TEST(Checkpoint, IsSignedWithEd25519Only) {
  const auto key = pki::PrivateKey::Generate(pki::KeyType::kP256).value();
  EXPECT_EQ(CheckpointSigner::Make(key).error().rule, "checkpoint.key");
}

}  // namespace
}  // namespace sallyport::server
