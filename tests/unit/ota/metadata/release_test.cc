#include "ota/metadata/release.h"

#include <gtest/gtest.h>

#include "tests/fakes/tuf_repository.h"

namespace sallyport::ota {
namespace {

std::string Sample() {
  TufRepository repository(UnixTime::FromSeconds(1'790'000'000), "");
  return WriteRelease(AddSampleRelease(repository, "2.0.0", 2));
}

std::string RuleWith(const std::vector<std::string>& path, JsonValue value) {
  const JsonValue changed = WithMember(*ParseJson(Sample()), path, std::move(value));
  const auto release = ParseRelease(AsBytes(WriteJson(changed)));
  return release ? "ok" : std::string(release.error().name());
}

TEST(ParseRelease, ReadsWhatWriteReleaseWrites) {
  const auto release = ParseRelease(AsBytes(Sample()));
  ASSERT_TRUE(release) << release.error().ToString();
  EXPECT_EQ(WriteRelease(*release), Sample());
  EXPECT_EQ(release->version.text(), "2.0.0");
  EXPECT_EQ(release->uki.path, "releases/edge-os/2.0.0/uki.efi");
}

TEST(ParseRelease, RefusesWhatTheFormatDoesNotAllow) {
  EXPECT_EQ(RuleWith({"sallyport"}, "release/v2"), "release.format");
  EXPECT_EQ(RuleWith({"surprise"}, 1), "json.unknown-key");
  EXPECT_EQ(RuleWith({"image", "surprise"}, 1), "json.unknown-key");
  EXPECT_EQ(RuleWith({"product"}, "../x"), "release.product");
  EXPECT_EQ(RuleWith({"version"}, "1..2"), "release.version");
  EXPECT_EQ(RuleWith({"hardware"}, JsonValue::Strings({})), "release.hardware");
  EXPECT_EQ(RuleWith({"rollback_index"}, -1), "json.range");
  EXPECT_EQ(RuleWith({"uki", "path"}, ""), "release.path");
  EXPECT_EQ(RuleWith({"uki", "length"}, 0), "json.range");
  EXPECT_EQ(RuleWith({"measurements", "bank"}, "sha1"), "release.bank");
  EXPECT_EQ(RuleWith({"measurements", "pcr4", "secure_boot_on"}, JsonValue::Strings({})),
            "release.measurements");
  EXPECT_EQ(RuleWith({"image", "sha256"}, "00"), "json.type");
}

TEST(ParseRelease, RefusesEveryTruncation) {
  const std::string text = Sample();
  for (size_t size = 0; size < text.size(); ++size)
    EXPECT_FALSE(ParseRelease(AsBytes(text.substr(0, size))));
}

TEST(ReleaseVersion, ComparesNumbersAndRefusesOddForms) {
  const auto version = [](const char* text) { return ReleaseVersion::Parse(text).value(); };
  EXPECT_LT(version("1.9"), version("1.10"));
  EXPECT_LT(version("1"), version("1.0"));
  EXPECT_EQ(version("2.0.1"), version("2.0.1"));
  for (const char* bad :
       {"", ".", "1.", ".1", "01", "1.02", "-1", "1a", "1 ", "9999999999", "1.2.3.4.5.6.7.8.9"})
    EXPECT_FALSE(ReleaseVersion::Parse(bad)) << bad;
}

}  // namespace
}  // namespace sallyport::ota
