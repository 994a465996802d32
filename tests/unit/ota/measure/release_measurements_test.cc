#include "ota/measure/release_measurements.h"

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

const Sha256Digest kUki = pki::Sha256(AsBytes("uki"));
const Sha256Digest kKernel = pki::Sha256(AsBytes("kernel"));
const ReleaseMeasurements kGood = {{kUki, kKernel}, {kUki}, {kKernel}};

std::string_view RuleOf(const std::string& text) {
  const auto json = ParseJson(text);
  if (!json) return json.error().rule;
  const auto parsed = ReleaseMeasurements::Parse(JsonCursor(*json));
  return parsed ? "accepted" : parsed.error().rule;
}

std::string Replaced(std::string_view from, std::string_view to) {
  std::string text = WriteJson(kGood.ToJson());
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ReleaseMeasurements, SurvivesARoundTrip) {
  const auto json = ParseJson(WriteJson(kGood.ToJson()));
  EXPECT_EQ(*ReleaseMeasurements::Parse(JsonCursor(*json)), kGood);
}

TEST(ReleaseMeasurements, RefusesAnotherBank) { EXPECT_EQ(RuleOf(Replaced("sha256", "sha1")), "measure.bank"); }

TEST(ReleaseMeasurements, RefusesEmptyAndOverlongLists) {
  EXPECT_EQ(RuleOf(Replaced("{\"events\":[\"" + HexEncode(kKernel) + "\"]}", "{\"events\":[]}")), "measure.events");
  ReleaseMeasurements many = kGood;
  many.pcr11.assign(kMeasuredEventsMax + 1, kUki);
  EXPECT_EQ(RuleOf(WriteJson(many.ToJson())), "measure.events");
  many.pcr11.pop_back();
  EXPECT_EQ(RuleOf(WriteJson(many.ToJson())), "accepted");
}

TEST(ReleaseMeasurements, RefusesDigestsInAnotherSpelling) {
  const std::string hex = HexEncode(kUki);
  std::string upper = hex;
  upper[upper.find_first_of("abcdef")] -= 'a' - 'A';
  EXPECT_EQ(RuleOf(Replaced(hex, upper)), "measure.digest");
  EXPECT_EQ(RuleOf(Replaced(hex, hex + "00")), "measure.digest");
  EXPECT_EQ(RuleOf(Replaced(hex, "")), "measure.digest");
}

TEST(ReleaseMeasurements, RefusesUnknownAndMissingKeys) {
  EXPECT_EQ(RuleOf(Replaced("\"bank\"", "\"bonk\"")), "json.unknown-key");
  EXPECT_EQ(RuleOf("{\"bank\":\"sha256\"}"), "json.missing-key");
}

}  // namespace
}  // namespace sallyport::ota
