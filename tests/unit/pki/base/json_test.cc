#include "pki/base/json.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

std::string_view RuleOf(std::string_view text, JsonLimits limits = {}) {
  const auto parsed = ParseJson(text, limits);
  return parsed ? "accepted" : parsed.error().rule;
}

TEST(ParseJson, ReadsEveryKindOfValue) {
  const auto value =
      ParseJson(R"( {"b":[1,-2,true,false,null],"a":"x\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"} )");

  ASSERT_TRUE(value) << value.error().ToString();
  EXPECT_EQ(
      CanonicalJson(*value),
      "{\"a\":\"x\\\"\\\\/\b\f\n\r\t\xC3\xA9\xF0\x9F\x98\x80\",\"b\":[1,-2,true,false,null]}");
}

TEST(ParseJson, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_EQ(RuleOf(R"({"a":1,"b":2,"a":1})"), "json.duplicate-key");
  EXPECT_EQ(RuleOf(R"({"x":[{"a":1,"\u0061":2}]})"), "json.duplicate-key");
}

TEST(ParseJson, RefusesFloatsExponentsAndOddZeros) {
  for (const char* text :
       {"1.0", "1e3", "1E3", "-1.5", "0.0", "01", "-0", "-01", "9223372036854775808"})
    EXPECT_EQ(RuleOf(text), "json.number") << text;
  EXPECT_EQ(RuleOf("9223372036854775807"), "accepted");
  EXPECT_EQ(RuleOf("-9223372036854775808"), "accepted");
}

TEST(ParseJson, RefusesOneLevelTooDeep) {
  EXPECT_EQ(RuleOf("[[1]]", {.depth_max = 2}), "accepted");
  EXPECT_EQ(RuleOf("[[[1]]]", {.depth_max = 2}), "json.depth");
  EXPECT_EQ(RuleOf(std::string(100000, '['), {.depth_max = 32}), "json.depth");
}

TEST(ParseJson, RefusesOneByteTooMuch) {
  EXPECT_EQ(RuleOf("[1]", {.size_max = 3}), "accepted");
  EXPECT_EQ(RuleOf("[1] ", {.size_max = 3}), "json.size");
}

TEST(ParseJson, RefusesWhatIsNotUtf8) {
  for (const char* text :
       {"\"\x80\"", "\"\xC0\xAF\"", "\"\xE0\x80\x80\"", "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"",
        "\"\xC3\"", "\"\xFF\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\""})
    EXPECT_EQ(RuleOf(text), "json.utf8") << text;
}

TEST(ParseJson, RefusesControlCharactersInStrings) {
  for (char c = 0; c < 0x20; ++c)
    EXPECT_EQ(RuleOf(std::string("\"") + c + "\""), "json.control-character");
}

TEST(ParseJson, RefusesEveryTruncation) {
  const std::string text = R"({"signed":{"version":12,"ok":true,"s":"a\u00e9"},"l":[1,null]})";
  ASSERT_EQ(RuleOf(text), "accepted");
  for (size_t size = 0; size < text.size(); ++size)
    EXPECT_NE(RuleOf(text.substr(0, size)), "accepted") << size;
}

TEST(ParseJson, RefusesTrailingBytesAndOtherDialects) {
  EXPECT_EQ(RuleOf("{} x"), "json.trailing-bytes");
  EXPECT_EQ(RuleOf("1 2"), "json.trailing-bytes");
  for (const char* text : {"", " ", "[1,]", "{\"a\":1,}", "{a:1}", "{'a':1}", "NaN", "// x\n1",
                           "\"\\x41\"", "+1", "tru", "\"\\u12\""})
    EXPECT_EQ(RuleOf(text), "json.syntax") << text;
}

TEST(ParseJson, NamesLineAndColumnOfTheFault) {
  const auto value = ParseJson("{\n \"a\": 1.5}");
  ASSERT_FALSE(value);
  EXPECT_NE(value.error().detail.find("line 2, column 8 (offset 9)"), std::string::npos)
      << value.error().detail;
}

TEST(WriteJson, EscapesControlCharactersThatCanonicalJsonLeavesRaw) {
  const JsonValue value = JsonValue::Object(
      {{"b", JsonValue::Strings({"\x01\n"})}, {"a", 3}, {"c", JsonValue::Object({})}});

  EXPECT_EQ(CanonicalJson(value), "{\"a\":3,\"b\":[\"\x01\n\"],\"c\":{}}");
  EXPECT_EQ(WriteJson(value), R"({"a":3,"b":["\u0001\u000a"],"c":{}})");
  const auto again = ParseJson(WriteJson(value));
  ASSERT_TRUE(again);
  EXPECT_EQ(CanonicalJson(*again), CanonicalJson(value));
}

TEST(JsonCursor, ReadsTypedMembersAndNamesThePathOtherwise) {
  const auto value = ParseJson(R"({"signed":{"version":7,"names":["a","b"],"on":true}})");
  ASSERT_TRUE(value);
  const auto body = JsonCursor(*value).Member("signed");
  ASSERT_TRUE(body);

  EXPECT_EQ(*body->GetInteger("version"), 7);
  EXPECT_EQ(*body->GetStrings("names"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(body->GetBool("on")->value);
  EXPECT_EQ(body->GetString("version").error().detail, "$.signed.version: expected a string");
  EXPECT_EQ(body->GetInteger("absent").error().rule, "json.missing-key");
  EXPECT_EQ(body->GetInteger("version", 8).error().rule, "json.range");
  EXPECT_EQ(body->OnlyKeys({"version", "names"}).error().rule, "json.unknown-key");
  EXPECT_TRUE(body->OnlyKeys({"version", "names", "on"}));
  EXPECT_EQ(JsonCursor(*value).GetElements("signed").error().rule, "json.type");
  EXPECT_FALSE(body->Find("absent"));
}

}  // namespace
}  // namespace sallyport
