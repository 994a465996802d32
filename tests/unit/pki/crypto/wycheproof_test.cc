// Project Wycheproof's answers about signatures.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "pki/crypto/signature.h"

namespace sallyport::pki {
namespace {

// Differing lists the comments of the cases of `file` that are judged otherwise.
std::vector<std::string> Differing(const std::string& file) {
  std::ifstream lines(SALLYPORT_SOURCE_DIR "/tests/vectors/wycheproof/" + file);
  std::vector<std::string> out;
  size_t total = 0;
  for (std::string line; std::getline(lines, line); ++total) {
    std::istringstream fields(line);
    std::string result, key, message, signature, comment;
    for (std::string* field : {&result, &key, &message, &signature, &comment})
      std::getline(fields, *field, '\t');
    const auto parsed = PublicKey::FromSpki(*HexDecode(key));
    const bool verifies =
        parsed && parsed->Verify(*HexDecode(message), *HexDecode(signature)).has_value();
    if (verifies != (result == "valid")) out.push_back(comment);
  }
  EXPECT_GT(total, 0U);
  std::printf("%s: %zu/%zu\n", file.c_str(), total - out.size(), total);
  return out;
}

using Comments = std::vector<std::string>;

TEST(Wycheproof, Ed25519) { EXPECT_EQ(Differing("ed25519.tsv"), Comments{}); }

TEST(Wycheproof, EcdsaP256) { EXPECT_EQ(Differing("ecdsa_secp256r1_sha256.tsv"), Comments{}); }

// A signer may choose its salt (signature.cc); these six are right but for its length.
TEST(Wycheproof, RsaPssButForTheLengthOfTheSalt) {
  const Comments salts = {"s_len changed to 0",  "s_len changed to 1",  "s_len changed to 20",
                          "s_len changed to 31", "s_len changed to 33", "s_len changed to 222"};
  EXPECT_EQ(Differing("rsa_pss_2048_sha256.tsv"), salts);
}

}  // namespace
}  // namespace sallyport::pki
