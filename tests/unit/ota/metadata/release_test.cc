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

std::string WithInstallBy(JsonValue value) {
  const auto release = ParseRelease(
      AsBytes(WriteJson(WithMember(*ParseJson(Sample()), {"install_by"}, std::move(value)))));
  if (!release) return std::string(release.error().name());
  EXPECT_EQ(ParseRelease(AsBytes(WriteRelease(*release)))->install_by, release->install_by);
  return release->install_by ? FormatRfc3339(*release->install_by) : "lost";
}

TEST(ParseRelease, ReadsADeadlineInItsOneSpelling) {
  Release without = *ParseRelease(AsBytes(Sample()));
  without.install_by.reset();
  EXPECT_EQ(ParseRelease(AsBytes(WriteRelease(without)))->install_by, std::nullopt);
  EXPECT_EQ(WithInstallBy("2026-12-01T12:00:00Z"), "2026-12-01T12:00:00Z");
  for (const char* const other :
       {"", "never", "2026-12-01", "2026-12-01T12:00:00", "2026-12-01T12:00:00+00:00",
        "2026-12-01T12:00:00.5Z", "2026-12-01t12:00:00z", "2026-12-01T12:00:00Z ",
        "2026-13-01T12:00:00Z", "2026-02-30T12:00:00Z", "1970-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z"})
    EXPECT_EQ(WithInstallBy(other), "release.install-by") << other;
  EXPECT_EQ(WithInstallBy(1796126400), "json.type");
  EXPECT_EQ(WithInstallBy({}), "json.type") << "none is absent, not null";
}

std::string RuleOfSealed(const std::string& scheme, const std::string& id) {
  const JsonValue release = *ParseJson(Sample());
  std::vector<JsonMember> members = *release.if_object();
  members.push_back({"sealed", JsonValue::Object({{"scheme", scheme}, {"key_id", id}})});
  const auto parsed = ParseRelease(AsBytes(WriteJson(JsonValue::Object(members))));
  if (!parsed) return std::string(parsed.error().name());
  return parsed->content_key &&
                 ParseRelease(AsBytes(WriteRelease(*parsed)))->content_key == parsed->content_key
             ? "sealed"
             : "plain";
}

TEST(ParseRelease, ReadsHowAReleaseIsSealedAndRefusesAnUnknownScheme) {
  const std::string id(64, 'a');
  EXPECT_FALSE(ParseRelease(AsBytes(Sample()))->content_key);
  EXPECT_EQ(RuleOfSealed("xchacha20-poly1305/v1", id), "sealed");
  EXPECT_EQ(RuleOfSealed("xchacha20-poly1305/v2", id), "release.seal-scheme");
  EXPECT_EQ(RuleOfSealed("none", id), "release.seal-scheme");
  EXPECT_EQ(RuleOfSealed("xchacha20-poly1305/v1", "00"), "json.type");
}

JsonValue Component(const std::string& name, const std::string& kind, JsonValue fw_class = {}) {
  std::vector<JsonMember> members = {
      {"name", name},
      {"kind", kind},
      {"file", JsonValue::Object({{"path", "releases/edge-os/2.0.0/" + name},
                                  {"length", 7},
                                  {"sha256", std::string(64, 'a')}})}};
  if (fw_class.if_string() != nullptr) {
    members.push_back({"fw_class", std::move(fw_class)});
    members.push_back({"fw_version", 9});
  }
  return JsonValue::Object(std::move(members));
}
constexpr const char* kClass = "00112233-4455-6677-8899-aabbccddeeff";

std::string WithComponents(std::vector<JsonValue> components) {
  const JsonValue release = *ParseJson(Sample());
  std::vector<JsonMember> members = *release.if_object();
  members.push_back({"components", JsonValue::Array(std::move(components))});
  return WriteJson(JsonValue::Object(std::move(members)));
}
std::string RuleOfComponents(std::vector<JsonValue> components) {
  const auto release = ParseRelease(AsBytes(WithComponents(std::move(components))));
  return release ? "ok" : std::string(release.error().name());
}

TEST(ParseRelease, ReadsComponents) {
  const std::string text =
      WithComponents({Component("app", "file"), Component("bios", "capsule", kClass)});
  const auto release = ParseRelease(AsBytes(text));
  ASSERT_TRUE(release) << release.error().ToString();

  EXPECT_EQ(WriteRelease(*release), text);
  ASSERT_EQ(release->components.size(), 2u);
  EXPECT_EQ(release->components[0].kind(), ComponentKind::kFile);
  EXPECT_EQ(release->components[1].firmware, (FirmwareVersion{kClass, 9}));
  EXPECT_EQ(FilesOf(*release).size(), 5u);
}

TEST(ParseRelease, RefusesComponentsThatItDoesNotKnow) {
  EXPECT_EQ(RuleOfComponents({}), "release.component");
  EXPECT_EQ(RuleOfComponents(std::vector<JsonValue>(9, Component("app", "file"))),
            "release.component");
  EXPECT_EQ(RuleOfComponents({Component("app", "file"), Component("app", "file")}),
            "release.component");
  EXPECT_EQ(RuleOfComponents({Component("../app", "file")}), "release.component");
  EXPECT_EQ(RuleOfComponents({Component("app", "script")}), "release.component");
  EXPECT_EQ(RuleOfComponents({Component("bios", "capsule")}), "json.missing-key");
  EXPECT_EQ(RuleOfComponents({Component("bios", "capsule", "x")}), "release.component");
  EXPECT_EQ(RuleOfComponents({Component("app", "file", kClass)}), "json.unknown-key");
}

JsonValue Delta(char release) {
  const auto file = [](const std::string& name) {
    return JsonValue::Object({{"path", "releases/edge-os/2.0.0/" + name},
                              {"length", 7},
                              {"sha256", std::string(64, 'a')}});
  };
  return JsonValue::Object({{"from", JsonValue::Object({{"release", std::string(64, release)},
                                                        {"version", "1.0.0"},
                                                        {"length", 8192},
                                                        {"sha256", std::string(64, 'c')}})},
                            {"index", file("delta-1.0.0.json")},
                            {"payload", file("delta-1.0.0.bin")}});
}

std::string WithDeltas(std::vector<JsonValue> deltas) {
  const JsonValue release = *ParseJson(Sample());
  std::vector<JsonMember> members = *release.if_object();
  members.push_back({"deltas", JsonValue::Array(std::move(deltas))});
  return WriteJson(JsonValue::Object(std::move(members)));
}
std::string RuleOfDeltas(std::vector<JsonValue> deltas) {
  const auto release = ParseRelease(AsBytes(WithDeltas(std::move(deltas))));
  return release ? "ok" : std::string(release.error().name());
}

TEST(ParseRelease, ReadsDeltas) {
  const std::string text = WithDeltas({Delta('a'), Delta('b')});
  const auto release = ParseRelease(AsBytes(text));
  ASSERT_TRUE(release) << release.error().ToString();

  EXPECT_EQ(WriteRelease(*release), text);
  ASSERT_EQ(release->deltas.size(), 2u);
  EXPECT_EQ(HexEncode(release->deltas[1].from), std::string(64, 'b'));
  EXPECT_EQ(release->deltas[0].from_length, 8192u);
  EXPECT_EQ(FilesOf(*release).size(), 7u) << "devices check that the repository has them";
}

TEST(ParseRelease, RefusesDeltasThatItDoesNotKnow) {
  EXPECT_EQ(RuleOfDeltas({}), "release.delta");
  EXPECT_EQ(RuleOfDeltas({Delta('a'), Delta('a')}), "release.delta");
  EXPECT_EQ(RuleOfDeltas(std::vector<JsonValue>(kDeltasMax + 1, Delta('a'))), "release.delta");
  const auto with = [](const std::vector<std::string>& path, JsonValue value) {
    return RuleOfDeltas({WithMember(Delta('a'), path, std::move(value))});
  };
  EXPECT_EQ(with({"surprise"}, 1), "json.unknown-key");
  EXPECT_EQ(with({"from", "surprise"}, 1), "json.unknown-key");
  EXPECT_EQ(with({"from", "release"}, "00"), "json.type");
  EXPECT_EQ(with({"from", "length"}, 0), "json.range");
  EXPECT_EQ(with({"from", "version"}, "one"), "release.version");
  EXPECT_EQ(with({"payload", "path"}, ""), "release.path");
}

TEST(ParseRelease, ReadsChunks) {
  const auto file = [](const std::string& name) {
    return JsonValue::Object({{"path", "releases/edge-os/2.0.0/" + name},
                              {"length", 7},
                              {"sha256", std::string(64, 'a')}});
  };
  const auto with = [&](JsonValue chunks) {
    const JsonValue release = *ParseJson(Sample());
    std::vector<JsonMember> members = *release.if_object();
    members.push_back({"chunks", std::move(chunks)});
    return WriteJson(JsonValue::Object(std::move(members)));
  };
  const std::string text =
      with(JsonValue::Object({{"index", file("chunks.index")}, {"payload", file("chunks.bin")}}));
  const auto release = ParseRelease(AsBytes(text));
  ASSERT_TRUE(release) << release.error().ToString();
  EXPECT_EQ(WriteRelease(*release), text);
  EXPECT_EQ(FilesOf(*release).size(), 5u);
  EXPECT_FALSE(ParseRelease(AsBytes(with(JsonValue::Object({{"index", file("chunks.index")}})))));
}

std::string WithVerity(uint64_t data_size, uint64_t hash_offset, const std::string& salt = "0aff",
                       const std::string& hash = "sha256", uint64_t block_size = 4096) {
  const JsonValue large = WithMember(*ParseJson(Sample()), {"image", "length"}, 100 * 4096);
  const JsonValue changed = WithMember(large, {"verity"},
                                       JsonValue::Object({{"hash", hash},
                                                          {"block_size", block_size},
                                                          {"root_hash", std::string(64, 'b')},
                                                          {"salt", salt},
                                                          {"data_size", data_size},
                                                          {"hash_offset", hash_offset}}));
  const auto release = ParseRelease(AsBytes(WriteJson(changed)));
  if (!release) return std::string(release.error().name());
  EXPECT_EQ(ParseRelease(AsBytes(WriteRelease(*release)))->verity, release->verity);
  return release->verity ? "ok" : "lost";
}

TEST(ParseRelease, ReadsAHashTreeThatFitsIntoTheImage) {
  EXPECT_EQ(WithVerity(98 * 4096, 98 * 4096), "ok");
  EXPECT_EQ(WithVerity(4096, 99 * 4096, ""), "ok") << "one block has no tree";
  EXPECT_EQ(WithVerity(99 * 4096, 99 * 4096), "release.verity") << "the tree ends behind the image";
  EXPECT_EQ(WithVerity(98 * 4096, 97 * 4096), "release.verity") << "inside the data";
  EXPECT_EQ(WithVerity(4097, 98 * 4096), "release.verity");
  EXPECT_EQ(WithVerity(4096, 4097), "release.verity");
  EXPECT_EQ(WithVerity(INT64_MAX - 4095, INT64_MAX - 4095), "release.verity");
  EXPECT_EQ(WithVerity(4096, 4096, std::string(514, '0')), "release.verity");
  EXPECT_EQ(WithVerity(4096, 4096, "0"), "malformed");
  EXPECT_EQ(WithVerity(4096, 4096, "", "sha512"), "release.verity");
  EXPECT_EQ(WithVerity(4096, 4096, "", "sha256", 1024), "release.verity");
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
