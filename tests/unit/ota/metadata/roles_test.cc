#include "ota/metadata/roles.h"

#include <gtest/gtest.h>

namespace sallyport::ota {
namespace {

TEST(GlobMatches, ComparesComponentByComponent) {
  struct Case {
    const char* pattern;
    const char* path;
    bool matches;
  };
  for (const Case& c :
       {Case{"a/*", "a/b", true}, Case{"a/*", "a/b/c", false}, Case{"a/*", "a", false},
        Case{"*", "a/b", false}, Case{"*.txt", "x.txt", true}, Case{"*.txt", ".txt", true},
        Case{"?.txt", "x.txt", true}, Case{"?.txt", "xy.txt", false}, Case{"a?b", "a/b", false},
        Case{"a*b*c", "aXbYbc", true}, Case{"a*b*c", "aXbY", false}, Case{"*/*", "a/b", true},
        Case{"", "", true}, Case{"", "a", false}, Case{"a/", "a/", true}, Case{"[a]", "a", false}})
    EXPECT_EQ(GlobMatches(c.pattern, c.path), c.matches) << c.pattern << " " << c.path;
}

TEST(Digests, NeedAtLeastOneKnownAlgorithm) {
  const std::string hex256(64, 'a');
  EXPECT_TRUE(Digests::Parse(JsonCursor(JsonValue::Object({{"sha256", hex256}, {"md5", "x"}}))));
  EXPECT_EQ(Digests::Parse(JsonCursor(JsonValue::Object({{"md5", "x"}}))).error().name(),
            "tuf.no-digest");
  EXPECT_EQ(Digests::Parse(JsonCursor(JsonValue::Object({}))).error().name(), "tuf.no-digest");
  for (const std::string& bad :
       {std::string(), std::string(62, 'a'), std::string(66, 'a'), std::string(64, 'g')})
    EXPECT_FALSE(Digests::Parse(JsonCursor(JsonValue::Object({{"sha256", bad}}))));
}

TEST(Digests, CheckEveryAlgorithmThatIsThere) {
  const Bytes content = ToBytes("content");
  const JsonValue both = JsonValue::Object(
      {{"sha256", HexEncode(pki::Sha256(content))}, {"sha512", std::string(128, '0')}});
  const auto digests = Digests::Parse(JsonCursor(both));
  ASSERT_TRUE(digests);
  EXPECT_EQ(digests->Check(content, "file").error().name(), "tuf.digest");
  EXPECT_TRUE(Digests::Of(content).Check(content, "file"));
}

}  // namespace
}  // namespace sallyport::ota
