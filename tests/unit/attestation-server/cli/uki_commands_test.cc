#include "attestation-server/cli/uki_commands.h"

#include "pki/base/json.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/pe_builder.h"

namespace sallyport::server {
namespace {

class UkiMeasure : public ::testing::Test {
 protected:
  UkiMeasure() {
    Store("uki.efi", BuildPe({{".linux", BuildPe({{".text", ToBytes("kernel")}})},
                              {".cmdline", ToBytes("quiet")}}));
    Store("app.efi", BuildPe({{".text", ToBytes("app")}}));
    Store("text.txt", ToBytes("no image at all"));
  }
  void Store(const std::string& name, const Bytes& content) {
    static_cast<void>((*files_.Open(name, OpenMode::kCreate))->WriteAt(0, content).has_value());
  }
  CommandResult Run(const std::string& file, bool phases, bool json) {
    return MeasureUkiFile(files_, {file, phases, json});
  }
  MemoryFileSystem files_;
};

size_t PhasesIn(const CommandResult& result) {
  const auto json = ParseJson(result.out.substr(0, result.out.size() - 1));
  return json->Find("pcr11")->if_object()->size();
}

TEST_F(UkiMeasure, PrintsTheFixedKeysAsJson) {
  const CommandResult result = Run("uki.efi", false, true);

  EXPECT_EQ(result.code, ExitCode::kYes);
  const auto json = ParseJson(result.out.substr(0, result.out.size() - 1));
  ASSERT_TRUE(json);
  EXPECT_EQ(json->Find("pcr4_events")->if_array()->size(), 2u);
  EXPECT_EQ(*json->Find("pcr4_events")->if_array()->front().if_string(),
            *json->Find("authenticode_sha256")->if_string());
  EXPECT_EQ(json->Find("pcr11")->Find("enter-initrd")->if_string()->size(), 64u);
  EXPECT_EQ(json->Find("sections")->if_array()->size(), 2u);
}

TEST_F(UkiMeasure, PrintsEveryPhaseOnlyWhenAsked) {
  EXPECT_EQ(PhasesIn(Run("uki.efi", false, true)), 2u);
  EXPECT_EQ(PhasesIn(Run("uki.efi", true, true)), 5u);
}

TEST_F(UkiMeasure, MeasuresAnOrdinaryPeImage) {
  EXPECT_EQ(PhasesIn(Run("app.efi", true, true)), 0u);
  EXPECT_NE(Run("app.efi", true, false).out.find("authenticode sha256\n"), std::string::npos);
}

TEST_F(UkiMeasure, SaysWhichFileIsWrongAndWhy) {
  const CommandResult result = Run("text.txt", false, true);

  EXPECT_EQ(result.code, ExitCode::kUsage);
  EXPECT_NE(result.out.find("\"reason\":\"pe.truncated\""), std::string::npos);
  EXPECT_NE(result.err.find("text.txt"), std::string::npos);
  EXPECT_EQ(Run("missing.efi", false, false).code, ExitCode::kUsage);
}

}  // namespace
}  // namespace sallyport::server
