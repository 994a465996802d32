#include "attestation-server/cli/archive_commands.h"

#include "tests/unit/attestation-server/archive/export_fixture.h"

namespace sallyport::server {
namespace {

class ArchiveCommandsTest : public ExportTest {
 protected:
  ArchiveCommandsTest() {
    Export();
    SP_CHECK(WriteFileAtomically(out_, "/bundle.json", AsBytes(Bundle(key_))).has_value());
  }
  ArchiveOptions Options(const std::string& id = "") {
    return {.folder = kFolder, .trust_bundle = "/bundle.json", .verdict = id, .json = true};
  }
  static JsonValue Json(const CommandResult& result) {
    return *ParseJson(std::string_view(result.out).substr(0, result.out.size() - 1));
  }
  static std::string ReasonOf(const CommandResult& result) {
    const JsonValue json = Json(result);
    return std::string(JsonCursor(json).Member("error")->GetString("reason").value());
  }
};

TEST_F(ArchiveCommandsTest, TheSameVerdictIsAYes) {
  const std::string id = VerdictOf("reattest").id;
  const CommandResult result = ReplayVerdict(out_, Options(id));
  EXPECT_EQ(result.code, ExitCode::kYes) << result.out;
  const JsonValue json = Json(result);
  EXPECT_TRUE(*json.Find("same")->if_bool());
  EXPECT_EQ(*json.Find("then")->Find("rule")->if_string(), "pcr.4");
  EXPECT_EQ(*json.Find("now")->Find("rule")->if_string(), "pcr.4");
  EXPECT_EQ(json.Find("now")->Find("diff")->if_array()->size(), 1u);
}

TEST_F(ArchiveCommandsTest, AnotherVerdictIsANoThatNamesTheField) {
  // A store that said "pass" of the failed boot, and signed it into its audit.
  Must([&](Connection& c) -> Result<Unit> {
    SP_TRY(c.Execute("DELETE FROM verdicts WHERE purpose <> 'reattest'"));
    return Unit{};
  });
  VerdictRow forged = VerdictOf("reattest");
  forged.id = std::string(32, 'e');
  forged.passed = true;
  ASSERT_TRUE(Write([&](Transaction& t) -> Result<Unit> {
                SP_TRY(InsertVerdict(t.connection(), forged));
                SP_TRY(t.Audit(
                    "certificate-issued",
                    JsonValue::Object({{"verdict", forged.id},
                                       {"document", HexEncode(*forged.evidence_hash)},
                                       {"verdict_sha256", HexEncode(pki::Sha256(AsBytes(WriteJson(
                                                              VerdictJson(forged)))))}})));
                return Unit{};
              }).has_value());
  const ExportSource live = [this](const ExportQuery& query) -> Result<JsonValue> {
    // What was deleted above comes from the first export.
    if (query.section != "verdict" || query.key == std::string(32, 'e'))
      return Service().Answer(query, now_);
    SP_TRY(const Bytes text, ReadFile(out_, VerdictPath(kFolder, query.key), kExportFileMax));
    return ParseJson(AsText(text));
  };
  ASSERT_TRUE(WriteExport(out_, "/forged", live).has_value());
  ArchiveOptions options = Options(forged.id);
  options.folder = "/forged";
  const CommandResult result = ReplayVerdict(out_, options);
  EXPECT_EQ(result.code, ExitCode::kNo) << result.out;
  EXPECT_EQ(*Json(result).Find("difference")->if_string(), "passed");
}

TEST_F(ArchiveCommandsTest, NothingToJudgeIsNeitherYesNorNo) {
  const CommandResult renewal = ReplayVerdict(out_, Options(VerdictOf("renew").id));
  EXPECT_EQ(renewal.code, ExitCode::kUsage);
  EXPECT_EQ(ReasonOf(renewal), "verdict.not-kept");
  EXPECT_NE(renewal.err.find("renewals within a boot are not stored"), std::string::npos);
  const CommandResult unknown = ReplayVerdict(out_, Options("no such"));
  EXPECT_EQ(unknown.code, ExitCode::kUsage);
  EXPECT_EQ(ReasonOf(unknown), "verdict.unknown");
  const VerdictRow verdict = VerdictOf("reattest");
  Edit(BlobPath(*verdict.log_hash), [](std::string& text) { text.back() ^= 1; });
  const CommandResult changed = ReplayVerdict(out_, Options(verdict.id));
  EXPECT_EQ(changed.code, ExitCode::kUsage);
  EXPECT_EQ(ReasonOf(changed), "evidence.blob");
}

TEST_F(ArchiveCommandsTest, AnIntactExportIsAYesAndSaysWhoSigned) {
  const CommandResult result = CheckExport(out_, Options());
  EXPECT_EQ(result.code, ExitCode::kYes) << result.out;
  const JsonValue json = Json(result);
  EXPECT_EQ(*json.Find("verdicts")->if_integer(), 2);
  EXPECT_EQ(*json.Find("renewals_not_stored")->if_integer(), 1);
  EXPECT_EQ(*json.Find("checkpoint_signed_by")->if_string(), "the trust bundle given");
  ArchiveOptions own = Options();
  own.trust_bundle.clear();
  const JsonValue shown = Json(CheckExport(out_, own));
  EXPECT_NE(shown.Find("checkpoint_signed_by")->if_string()->find("shows no origin"),
            std::string::npos);
}

TEST_F(ArchiveCommandsTest, AChangedExportIsANo) {
  Edit(PagePath(kFolder, 1),
       [](std::string& text) { text.replace(text.find("device-failed"), 13, "device-passed"); });
  const CommandResult result = CheckExport(out_, Options());
  EXPECT_EQ(result.code, ExitCode::kNo);
  EXPECT_EQ(ReasonOf(result), "audit.hash");
}

TEST_F(ArchiveCommandsTest, PeopleReadSentences) {
  ArchiveOptions options = Options(VerdictOf("enrol").id);
  options.json = false;
  EXPECT_NE(ReplayVerdict(out_, options).out.find("the same verdict"), std::string::npos);
  EXPECT_NE(CheckExport(out_, options).out.find("2 verdicts with their evidence"),
            std::string::npos);
}

}  // namespace
}  // namespace sallyport::server
