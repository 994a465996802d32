#include "pki/base/content_request.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

Result<ContentPath> Parse(std::string_view target) { return ContentPath::Parse(target, "/image/"); }

TEST(ContentPath, TakesTheNamesOfTheRepository) {
  const std::string digest(64, 'a');
  for (const std::string& name :
       {std::string("metadata/12.root.json"), std::string("metadata/timestamp.json"),
        "targets/releases/edge-os/2.0.0/" + digest + ".payload.bin"}) {
    const auto path = Parse("/image/" + name);
    ASSERT_TRUE(path.has_value()) << name;
    EXPECT_EQ(path->text(), name);
  }
}

TEST(ContentPath, RefusesEveryWayOutOfTheDirectory) {
  for (const char* target : {"",
                             "/",
                             "/image",
                             "/image/",
                             "/other/a",
                             "image/a",
                             "/image/../a",
                             "/image/a/../b",
                             "/image/./a",
                             "/image//a",
                             "/image/a/",
                             "/image/.a",
                             "/image/..",
                             "/image/%2e%2e/a",
                             "/image/a%2fb",
                             "/image/%61",
                             "/image/a?b",
                             "/image/a#b",
                             "/image/a\\b",
                             "/image/a b",
                             "/image/\xc3\xa4",
                             "/image/a;b",
                             "http://content/image/a"}) {
    const auto path = Parse(target);
    ASSERT_FALSE(path.has_value()) << target;
    EXPECT_EQ(path.error().rule, "content.path") << target;
  }
  EXPECT_FALSE(Parse(std::string_view("/image/a\0b", 10)).has_value());
  EXPECT_TRUE(Parse("/image/" + std::string(512, 'a')).has_value());
  EXPECT_FALSE(Parse("/image/" + std::string(513, 'a')).has_value());
}

TEST(ContentPath, MakesItsTagOfTheDigestInTheName) {
  const std::string digest(64, 'a');
  EXPECT_EQ(Parse("/image/targets/x/" + digest + ".uki.efi")->etag(), '"' + digest + '"');
  for (const std::string& name :
       {std::string("metadata/1.root.json"), digest, digest + "a.uki.efi"})
    EXPECT_EQ(Parse("/image/" + name)->etag(), "") << name;
}

TEST(ParseRange, ReadsTheThreeForms) {
  EXPECT_EQ(*ParseRange("bytes=0-0", 10), (ContentRange{0, 0}));
  EXPECT_EQ(*ParseRange("bytes=2-5", 10), (ContentRange{2, 5}));
  EXPECT_EQ(*ParseRange("bytes=9-", 10), (ContentRange{9, 9}));
  EXPECT_EQ(*ParseRange("bytes=-3", 10), (ContentRange{7, 9}));
}

TEST(ParseRange, CutsToTheFile) {
  EXPECT_EQ(*ParseRange("bytes=2-10", 10), (ContentRange{2, 9}));
  EXPECT_EQ(*ParseRange("bytes=0-18446744073709551615", 10), (ContentRange{0, 9}));
  EXPECT_EQ(*ParseRange("bytes=-11", 10), (ContentRange{0, 9}));
}

TEST(ParseRange, RefusesWhatIsNotOneRangeOfTheFile) {
  for (const char* header :
       {"", "bytes", "bytes=", "bytes=-", "bytes=-0", "bytes=10-", "bytes=10-12", "bytes=5-4",
        "bytes=0-1,3-4", "bytes=a-b", "bytes=0-1 ", "bytes= 0-1", "bytes=+1-2", "bytes=1--2",
        "items=0-1", "bytes=18446744073709551616-", "bytes=0-18446744073709551616"}) {
    const auto range = ParseRange(header, 10);
    ASSERT_FALSE(range.has_value()) << header;
    EXPECT_EQ(range.error().rule, "content.range") << header;
  }
  EXPECT_FALSE(ParseRange("bytes=0-", 0).has_value());
}

}  // namespace
}  // namespace sallyport
