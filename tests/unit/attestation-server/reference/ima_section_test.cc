#include "attestation-server/reference/ima_section.h"

#include <gtest/gtest.h>

#include "attestation-server/reference/reference_file.h"

namespace sallyport::server {
namespace {

const std::string kDigest(64, 'a');

std::string FileWith(const std::string& ima) {
  return R"({"sallyport":"reference/v1","class":"edge","bank":"sha256","pcrs":{"7":{"value":")" +
         kDigest + R"("}},"ima":)" + ima + "}";
}
std::string RuleOf(const std::string& ima) {
  const Result<ReferenceFile> file = ParseReferenceFile(FileWith(ima));
  return file ? "" : std::string(file.error().name());
}
std::string Signer(const std::string& id, const std::string& key) {
  return R"({"signers":[{"key_id":")" + id + R"(","key":")" + key + R"("}]})";
}
std::string KeyOf(pki::KeyType type) {
  return Base64Encode(pki::PrivateKey::Generate(type)->public_key().spki());
}

TEST(ImaSection, ReadsFilesAndSigners) {
  const std::string key = KeyOf(pki::KeyType::kP256);
  const ReferenceFile file =
      ParseReferenceFile(FileWith(R"({"allow":["sha256:)" + kDigest + R"(","sha512:)" + kDigest +
                                  kDigest + R"("],"signers":[{"key_id":"01ab02cd","key":")" + key +
                                  R"(","what":"vendor"}]})"))
          .value();

  ASSERT_EQ(file.expectation.ima.size(), 1u);
  const ImaExpected& ima = *file.expectation.ima.front();
  EXPECT_EQ(ima.files.size(), 2u);
  EXPECT_TRUE(ima.files.contains(AsText(HexDecode(kDigest).value())));
  EXPECT_EQ(ima.signers.at(0).key_id, 0x01AB02CDu);
  EXPECT_EQ(ima.signers.at(0).what, "vendor");
  EXPECT_NE(ima.hash, Sha256Digest::FromArray({}));
}

TEST(ImaSection, IsWrittenAsItIsRead) {
  const std::string json =
      FileWith(R"({"allow":["sha256:)" + std::string(64, 'b') + R"(","sha256:)" + kDigest +
               R"("],"signers":[{"key_id":)" + R"("01ab02cd","key":")" + KeyOf(pki::KeyType::kRsa) +
               R"("}]})");
  const std::string once = WriteReferenceFile(ParseReferenceFile(json).value());
  EXPECT_EQ(WriteReferenceFile(ParseReferenceFile(once).value()), once);
  EXPECT_NE(once.find("01ab02cd"), std::string::npos);
  EXPECT_LT(once.find("sha256:aaaa"), once.find("sha256:bbbb"));
}

TEST(ImaSection, IsAbsentWhereThereIsNone) {
  const std::string none =
      R"({"sallyport":"reference/v1","class":"edge","bank":"sha256","pcrs":{"7":{"value":")" +
      kDigest + R"("}}})";
  EXPECT_TRUE(ParseReferenceFile(none)->expectation.ima.empty());
}

TEST(ImaSection, RefusesOneThatAllowsNothing) {
  for (const char* const ima : {"{}", R"({"allow":[]})", R"({"signers":[]})"})
    EXPECT_EQ(RuleOf(ima), "reference.ima");
}

TEST(ImaSection, RefusesDigestsThatAreWeakOrNone) {
  const std::vector<std::string> weak_or_none{"",
                                              "sha256",
                                              "sha256:",
                                              "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
                                              "md5:d41d8cd98f00b204e9800998ecf8427e",
                                              kDigest,
                                              "sha256:" + kDigest.substr(1),
                                              "sha512:" + kDigest,
                                              "sha256:zz" + kDigest.substr(2)};
  for (const std::string& digest : weak_or_none)
    EXPECT_EQ(RuleOf(R"({"allow":[")" + digest + R"("]})"), "reference.ima-digest") << digest;
}

TEST(ImaSection, RefusesSignersWithoutAnIdOrAKeyThatSignsFiles) {
  const std::string key = KeyOf(pki::KeyType::kP256);
  EXPECT_EQ(RuleOf(Signer("01ab02cd", key)), "");
  EXPECT_EQ(RuleOf(Signer("01ab02", key)), "reference.ima-signer");
  EXPECT_EQ(RuleOf(Signer("01ab02zz", key)), "reference.ima-signer");
  EXPECT_EQ(RuleOf(Signer("01ab02cd", "AAAA")), "reference.ima-signer");
  EXPECT_EQ(RuleOf(Signer("01ab02cd", "?")), "reference.ima-signer");
  EXPECT_EQ(RuleOf(Signer("01ab02cd", KeyOf(pki::KeyType::kEd25519))), "reference.ima-signer");
}

TEST(ImaSection, RefusesMoreThanItsLimits) {
  std::string signers = R"({"signers":[)";
  const std::string one = R"({"key_id":"01ab02cd","key":")" + KeyOf(pki::KeyType::kP256) + "\"}";
  for (size_t i = 0; i <= kImaSignersMax; ++i) signers += (i == 0 ? "" : ",") + one;
  EXPECT_EQ(RuleOf(signers + "]}"), "reference.ima");
  EXPECT_EQ(RuleOf(R"({"allow":["sha256:)" + kDigest + R"("],"more":1})"), "json.unknown-key");
}

}  // namespace
}  // namespace sallyport::server
