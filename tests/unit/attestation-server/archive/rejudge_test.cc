// Verdicts reached again from an export.
#include "attestation-server/archive/rejudge.h"

#include "tests/unit/attestation-server/archive/export_fixture.h"

namespace sallyport::server {
namespace {

class RejudgeTest : public ExportTest {
 protected:
  Result<Rejudgement> Again(const std::string& id) {
    SP_TRY(ExportFolder folder, Opened());
    return Rejudge(folder, id);
  }
  std::string Refused(const std::string& id) {
    const Result<Rejudgement> again = Again(id);
    return again ? "judged" : std::string(again.error().name());
  }
};

TEST_F(RejudgeTest, ReachesThePassAndTheFailureAgain) {
  Export();
  for (const std::string_view purpose : {"enrol", "reattest"}) {
    const Rejudgement again = Again(VerdictOf(purpose).id).value();
    EXPECT_TRUE(again.same()) << again.difference;
    EXPECT_EQ(again.now.passed, purpose == "enrol");
    EXPECT_EQ(again.now.diff, VerdictOf(purpose).diff);
  }
}

TEST_F(RejudgeTest, NeedsNothingOfTheStoreThatMadeIt) {
  const std::string id = VerdictOf("reattest").id;
  Export();
  Must([](Connection& c) -> Result<Unit> {
    SP_TRY(c.Execute("UPDATE reference_sets SET state = 'retired'"));
    return Unit{};
  });
  EXPECT_TRUE(Again(id)->same());
}

TEST_F(RejudgeTest, SaysThatARenewalWasNotStored) {
  Export();
  const Result<Rejudgement> again = Again(VerdictOf("renew").id);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().rule, "verdict.not-kept");
  EXPECT_NE(again.error().detail.find("the audit has the hash"), std::string::npos);
}

TEST_F(RejudgeTest, UnknownIdsAreNamed) {
  Export();
  EXPECT_EQ(Refused(std::string(32, '0')), "verdict.unknown");
  EXPECT_EQ(Refused("../../etc/passwd"), "verdict.unknown");
}

TEST_F(RejudgeTest, JudgesNothingThatWasChanged) {
  Export();
  const VerdictRow verdict = VerdictOf("reattest");
  Edit(BlobPath(*verdict.log_hash), [](std::string& text) { text[100] ^= 1; });
  EXPECT_EQ(Refused(verdict.id), "evidence.blob");
  ASSERT_TRUE(out_.Remove(BlobPath(*verdict.evidence_hash)).has_value());
  EXPECT_EQ(Refused(verdict.id), "export.missing");
  Edit(VerdictPath(kFolder, verdict.id), [](std::string& text) { text += " "; });
  EXPECT_EQ(Refused(verdict.id), "export.verdict");
}

TEST_F(RejudgeTest, RefusesAChangedReference) {
  Export();
  const std::string name = out_.List(std::string(kFolder) + "/references").value().at(0);
  Edit(std::string(kFolder) + "/references/" + name, [](std::string& text) {
    const std::string from = HexEncode(pki::Sha256(AsBytes("uki 1")));
    text.replace(text.find(from), from.size(), HexEncode(pki::Sha256(AsBytes("evil"))));
  });
  EXPECT_EQ(Refused(VerdictOf("reattest").id), "export.reference");
}

TEST(CompareVerdicts, NamesTheFirstFieldThatDiffers) {
  const VerdictRow then;
  EXPECT_EQ(CompareVerdicts(then, then), "");
  const auto changed = [&](auto change) {
    VerdictRow now = then;
    change(now);
    return CompareVerdicts(then, now);
  };
  EXPECT_EQ(changed([](VerdictRow& v) { v.passed = true; }), "passed");
  EXPECT_EQ(changed([](VerdictRow& v) { v.rule = "pcr.4"; }), "rule");
  EXPECT_EQ(changed([](VerdictRow& v) { v.checks = "[]"; }), "checks");
  EXPECT_EQ(changed([](VerdictRow& v) { v.diff = "[]"; }), "diff");
  EXPECT_EQ(changed([](VerdictRow& v) { v.reference_set = HashOf(1); }), "reference_set");
  EXPECT_EQ(changed([](VerdictRow& v) { v.log_hash = HashOf(1); }), "log_sha256");
  EXPECT_EQ(changed([](VerdictRow& v) { v.attested_at = UnixTime{1}; }), "attested_at");
  EXPECT_EQ(changed([](VerdictRow& v) { v.valid_until = UnixTime{1}; }), "valid_until");
}

}  // namespace
}  // namespace sallyport::server
