#include "ota/install/image_origins.h"

#include <gtest/gtest.h>

namespace sallyport::ota {
namespace {

ImageOrigins Some() {
  ImageOrigins out;
  out.Count(Origin::kDelta, 4'000'000);
  out.Count(Origin::kDelta, 1'050'000);
  out.Count(Origin::kChunks, 65'536);
  return out;
}

TEST(ImageOrigins, CountSegmentsAndBytes) {
  ImageOrigins sum = Some();
  sum += Some();
  EXPECT_EQ(sum[Origin::kDelta], (OriginCount{4, 10'100'000}));
  EXPECT_EQ(sum[Origin::kChunks], (OriginCount{2, 131'072}));
  EXPECT_EQ(sum[Origin::kFull], OriginCount());
  EXPECT_FALSE(sum.empty());
  EXPECT_TRUE(ImageOrigins().empty());
}

TEST(ImageOrigins, AreReadAsTheyWereWritten) {
  for (const ImageOrigins& origins : {Some(), ImageOrigins()})
    EXPECT_EQ(*ParseOrigins(JsonCursor(OriginsJson(origins))), origins);
}

TEST(ImageOrigins, RefuseMissingNegativeAndOtherValues) {
  const std::string whole = WriteJson(OriginsJson(Some()));
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"\"full\"", "\"fool\""},
                                 {"\"copy\":{", "\"copy\":{\"x\":1,"},
                                 {"5050000", "-1"},
                                 {"5050000", "\"1\""}}) {
    std::string text = whole;
    text.replace(text.find(from), from.size(), to);
    const JsonValue parsed = *ParseJson(text);
    EXPECT_EQ(ParseOrigins(JsonCursor(parsed)).has_value(), from.find("copy") == 1) << text;
  }
}

TEST(ImageOrigins, NameThoseThatGaveSomething) {
  EXPECT_EQ(OriginsText(Some()), "delta 2 (99 %), chunks 1 (1 %)");
  EXPECT_EQ(OriginsText({}), "");
}

}  // namespace
}  // namespace sallyport::ota
