#include "attestation-server/cli/lint_command.h"

#include "pki/base/json.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

class ReleaseLintTest : public ::testing::Test {
 protected:
  ReleaseLintTest() {
    Bytes image = VectorFile("images/erofs.head");
    image.resize(64 * 4096, 'x');
    Store("root.img", image);
    image[40 * 4096] = 'y';
    Store("changed.img", image);
    Store("uki.efi", Bytes(100'000));
  }
  void Store(const std::string& name, const Bytes& content) {
    static_cast<void>((*files_.Open(name, OpenMode::kCreate))->WriteAt(0, content).has_value());
  }
  JsonValue Json(const ReleaseLintOptions& options, ExitCode code) {
    const CommandResult result = ReleaseLint(files_, options);
    EXPECT_EQ(result.code, code) << result.out;
    return *ParseJson(result.out.substr(0, result.out.size() - 1));
  }
  std::string OnlyRule(const JsonValue& json) {
    const auto& findings = *json.Find("findings")->if_array();
    return findings.size() == 1 ? *findings[0].Find("rule")->if_string() : "";
  }
  MemoryFileSystem files_;
};

TEST_F(ReleaseLintTest, PassesAGoodImage) {
  const JsonValue json =
      Json({.image = "root.img", .from = "changed.img", .json = true}, ExitCode::kYes);

  EXPECT_EQ(*json.Find("verdict")->if_string(), "pass");
  EXPECT_EQ(*json.Find("format")->if_string(), "erofs");
  EXPECT_EQ(*json.Find("block_size")->if_integer(), 4096);
  EXPECT_EQ(*json.Find("length")->if_integer(), 64 * 4096);
  EXPECT_EQ(*json.Find("changed")->if_integer(), 0);
}

TEST_F(ReleaseLintTest, EveryOptionIsJudged) {
  EXPECT_EQ(
      OnlyRule(Json({.image = "root.img", .again = "changed.img", .json = true}, ExitCode::kNo)),
      "image.not-reproducible");
  EXPECT_EQ(OnlyRule(Json({.image = "root.img", .slot_size = 4096, .json = true}, ExitCode::kNo)),
            "slot.size");
  EXPECT_EQ(
      OnlyRule(Json({.image = "root.img", .uki = "uki.efi", .esp_size = 200'000, .json = true},
                    ExitCode::kNo)),
      "esp.space");
  EXPECT_EQ(*Json({.image = "changed.img", .from = "root.img", .json = true}, ExitCode::kYes)
                 .Find("changed")
                 ->if_integer(),
            4096);
}

TEST_F(ReleaseLintTest, SaysInWordsWhatToDo) {
  const CommandResult result = ReleaseLint(files_, {.image = "uki.efi"});

  EXPECT_EQ(result.code, ExitCode::kYes);
  EXPECT_NE(result.out.find("warn  image.unknown-format"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("verdict: warn"), std::string::npos) << result.out;
}

TEST_F(ReleaseLintTest, AReleaseIsRefusedByRuleUnlessTheRuleIsAllowed) {
  Bytes gzip = {0x1f, 0x8b};
  gzip.resize(4096);
  Store("root.gz", gzip);
  const auto rule = [&](const std::string& image, const std::vector<std::string>& allowed) {
    const auto report = LintForRelease(files_, image, allowed);
    return report ? "ok" : std::string(report.error().name());
  };
  EXPECT_EQ(rule("root.img", {}), "ok");
  EXPECT_EQ(rule("uki.efi", {}), "ok") << "a warning refuses nothing";
  EXPECT_EQ(rule("root.gz", {}), "image.format");
  EXPECT_EQ(rule("root.gz", {"image.block-size"}), "image.format");
  EXPECT_EQ(rule("root.gz", {"image.format"}), "ok");
  EXPECT_EQ(rule("root.gz", {"image.formt"}), "lint.rule");
  EXPECT_EQ(rule("root.gz", {"image.layout"}), "lint.rule") << "only a warning";
  EXPECT_EQ(rule("none.img", {}), "not-found");
}

TEST_F(ReleaseLintTest, AMissingFileIsAUsageError) {
  EXPECT_EQ(ReleaseLint(files_, {.image = "none.img"}).code, ExitCode::kUsage);
  EXPECT_EQ(ReleaseLint(files_, {.image = "root.img", .from = "none.img"}).code, ExitCode::kUsage);
}

}  // namespace
}  // namespace sallyport::server
