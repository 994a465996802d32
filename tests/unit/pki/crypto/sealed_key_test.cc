#include "pki/crypto/sealed_key.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_random.h"

namespace sallyport::pki {
namespace {

class SealedKeyTest : public testing::Test {
 protected:
  std::string Seal(std::string_view passphrase = "correct horse") {
    return SealKey(key_, passphrase, kKdfForTests, random_).value();
  }
  static std::string Rule(std::string_view text, std::string_view passphrase = "correct horse") {
    const auto key = OpenSealedKey(text, passphrase);
    return key ? "ok" : std::string(key.error().name());
  }
  FakeRandom random_;
  PrivateKey key_ = PrivateKey::Generate(KeyType::kEd25519).value();
};

TEST_F(SealedKeyTest, OpensWithItsPassphraseAlone) {
  const std::string text = Seal();
  EXPECT_TRUE(IsSealedKey(text));
  const auto opened = OpenSealedKey(text, "correct horse");
  ASSERT_TRUE(opened) << opened.error().ToString();
  EXPECT_EQ(opened->public_key().spki(), key_.public_key().spki());
  for (const char* const wrong : {"correct hors", "correct horse ", "Correct horse", ""})
    EXPECT_EQ(Rule(text, wrong), "key.passphrase") << wrong;
}

TEST_F(SealedKeyTest, NeverOpensAfterATruncationOrAFlippedBit) {
  const std::string text = Seal();
  for (size_t size = 0; size < text.size(); ++size)
    EXPECT_NE(Rule(text.substr(0, size)), "ok") << size;
  for (size_t at = 0; at < text.size(); ++at) {
    std::string flipped = text;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_NE(Rule(flipped), "ok") << at;
  }
}

TEST_F(SealedKeyTest, RefusesOtherFormats) {
  for (const char* const text :
       {"", "-----BEGIN SALLYPORT SEALED KEY-----\n-----END SALLYPORT SEALED KEY-----\n",
        "-----BEGIN SALLYPORT SEALED KEY-----\n!!!!\n-----END SALLYPORT SEALED KEY-----\n",
        "-----BEGIN SALLYPORT SEALED KEY-----\nAgAA\n-----END SALLYPORT SEALED KEY-----\n"})
    EXPECT_EQ(Rule(text), "key.sealed-format") << text;
}

TEST_F(SealedKeyTest, NeedsAPassphraseToSeal) {
  EXPECT_EQ(SealKey(key_, "", kKdfForTests, random_).error().reason, Reason::kInvalidArgument);
}

}  // namespace
}  // namespace sallyport::pki
