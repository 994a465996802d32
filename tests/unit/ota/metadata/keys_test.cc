#include "ota/metadata/keys.h"

#include <gtest/gtest.h>

namespace sallyport::ota {
namespace {

JsonValue OneKey(JsonValue key) { return JsonValue::Object({{"id", std::move(key)}}); }

TEST(Keys, RoundTripThroughTufJson) {
  for (const pki::KeyType type :
       {pki::KeyType::kEd25519, pki::KeyType::kP256, pki::KeyType::kRsa}) {
    const auto key = pki::PrivateKey::Generate(type).value();
    const JsonValue list = OneKey(KeyToJson(key.public_key()));
    const auto keys = ParseKeys(JsonCursor(list));

    ASSERT_TRUE(keys && keys->contains("id"));
    EXPECT_EQ(keys->at("id").spki(), key.public_key().spki());
    EXPECT_EQ(KeyId(keys->at("id")), KeyId(key.public_key()));
  }
}

TEST(Keys, ThatCannotBeUsedVerifyNothing) {
  const auto key = [](const char* type, const char* scheme, const char* value) {
    return JsonValue::Object({{"keytype", type},
                              {"scheme", scheme},
                              {"keyval", JsonValue::Object({{"public", value}})}});
  };
  for (const JsonValue& bad :
       {key("ed25519", "ed25519", "00"), key("ed25519", "rsassa-pss-sha256", "00"),
        key("post-quantum", "x", "00"), key("rsa", "rsassa-pss-sha256", "pem"),
        JsonValue::Object({})}) {
    const JsonValue list = OneKey(bad);
    const auto keys = ParseKeys(JsonCursor(list));
    ASSERT_TRUE(keys);
    EXPECT_TRUE(keys->empty());
  }
  const JsonValue no_object = OneKey("key");
  EXPECT_FALSE(ParseKeys(JsonCursor(no_object)));
}

TEST(Keys, OfP256MayBeWrittenAsAPoint) {
  const auto key = pki::PrivateKey::Generate(pki::KeyType::kP256).value();
  const std::string point = HexEncode(ByteView(key.public_key().spki()).last(65));
  const auto parse = [](const std::string& text) {
    const JsonValue list =
        OneKey(JsonValue::Object({{"keytype", "ecdsa-sha2-nistp256"},
                                  {"scheme", "ecdsa-sha2-nistp256"},
                                  {"keyval", JsonValue::Object({{"public", text}})}}));
    return ParseKeys(JsonCursor(list)).value();
  };
  EXPECT_EQ(parse(point).at("id").spki(), key.public_key().spki());
  EXPECT_TRUE(parse(point.substr(2)).empty());
  EXPECT_TRUE(parse("02" + point.substr(2)).empty());
  EXPECT_TRUE(parse("04" + std::string(128, '1')).empty());  // not on the curve
}

TEST(Keys, OfAnotherTypeThanDeclaredAreNotUsed) {
  const auto p384 = pki::PrivateKey::Generate(pki::KeyType::kP384).value();
  const JsonValue list = OneKey(
      JsonValue::Object({{"keytype", "ecdsa"},
                         {"scheme", "ecdsa-sha2-nistp256"},
                         {"keyval", JsonValue::Object({{"public", p384.public_key().ToPem()}})}}));
  EXPECT_TRUE(ParseKeys(JsonCursor(list))->empty());
}

TEST(Keys, AreLimitedInNumber) {
  std::vector<JsonMember> many;
  for (int i = 0; i < 257; ++i) many.push_back({std::to_string(i), JsonValue::Object({})});
  const JsonValue list = JsonValue::Object(std::move(many));
  EXPECT_EQ(ParseKeys(JsonCursor(list)).error().name(), "tuf.too-many-keys");
}

}  // namespace
}  // namespace sallyport::ota
