// An export is checked by what it holds alone, and every change to it has its own refusal.
#include "attestation-server/archive/export_folder.h"

#include "tests/unit/attestation-server/archive/export_fixture.h"

namespace sallyport::server {
namespace {

using ExportFolderTest = ExportTest;

TEST_F(ExportFolderTest, HoldsTheWholeAuditWithItsEvidence) {
  const ExportReport written = Export();
  EXPECT_EQ(written.verdicts, 2u);
  EXPECT_EQ(written.renewals, 1u);
  const ExportReport read = Opened()->Check().value();
  EXPECT_EQ(read.verdicts, 2u);
  EXPECT_EQ(read.renewals, 1u);
  EXPECT_EQ(read.references, 1u);
  EXPECT_EQ(read.checkpoint.head.seq, Audit().size());
  EXPECT_EQ(read.checkpoint.trust_domain, "edge.example");
}

TEST_F(ExportFolderTest, IsNotWrittenOverAnother) {
  Export();
  EXPECT_EQ(WriteExport(out_, kFolder, Source()).error().rule, "export.exists");
}

TEST_F(ExportFolderTest, IsOfTheKeyOfTheTrustBundleAndOfNoOther) {
  Export();
  const auto other = pki::PrivateKey::Generate(pki::KeyType::kEd25519).value();
  EXPECT_EQ(ExportFolder::Open(out_, kFolder, Bundle(other)).error().rule, "checkpoint.signature");
  EXPECT_TRUE(ExportFolder::Open(out_, kFolder, "").has_value());
  const pki::TrustBundle none =
      pki::BundleOf(hierarchy_, pki::TrustDomain::Parse("edge.example").value(), 1);
  EXPECT_EQ(ExportFolder::Open(out_, kFolder, pki::WriteTrustBundle(none)).error().rule,
            "checkpoint.key");
}

TEST_F(ExportFolderTest, WithoutItsCheckpointIsNone) {
  EXPECT_EQ(Checked(), "export.missing");
  Export();
  Edit(CheckpointPath(kFolder), [](std::string& text) {
    text.replace(text.find("audit-export/v1"), 15, "audit-export/v9");
  });
  EXPECT_EQ(Checked(), "export.format");
}

TEST_F(ExportFolderTest, WithAChangedEntryIsRefused) {
  Export();
  const auto change = [&](std::string_view from, std::string_view to) {
    Edit(PagePath(kFolder, 1),
         [&](std::string& text) { text.replace(text.find(from), from.size(), to); });
    const std::string rule = Checked();
    Edit(PagePath(kFolder, 1),
         [&](std::string& text) { text.replace(text.find(to), to.size(), from); });
    return rule;
  };
  EXPECT_EQ(Checked(), "intact");
  EXPECT_EQ(change("device-failed", "device-passed"), "audit.hash");
  EXPECT_EQ(change("pcr.4", "pcr.5"), "audit.commitment");
  EXPECT_EQ(change("\"seq\":2", "\"seq\":7"), "audit.sequence");
  EXPECT_EQ(Checked(), "intact");
}

TEST_F(ExportFolderTest, CutShortIsNotTheAuditOfItsCheckpoint) {
  Export();
  ASSERT_TRUE(out_.Remove(PagePath(kFolder, 1)).has_value());
  EXPECT_EQ(Checked(), "export.missing");
}

TEST_F(ExportFolderTest, OfAnotherHistoryUnderAnOldCheckpointIsRefused) {
  Export();
  const std::string old = ToString(ReadFile(out_, CheckpointPath(kFolder), 1 << 20).value());
  MemoryFileSystem newer;
  now_ = now_ + Seconds(1);
  RuleOf(Reattest(device_));
  ASSERT_TRUE(WriteExport(newer, kFolder, Source()).has_value());
  ASSERT_TRUE(WriteFileAtomically(newer, CheckpointPath(kFolder), AsBytes(old)).has_value());
  const ExportReport unused;
  Result<ExportFolder> folder = ExportFolder::Open(newer, kFolder, Bundle(key_));
  EXPECT_EQ(folder->Check().error().rule, "checkpoint.head");
}

TEST_F(ExportFolderTest, WithAChangedOrMissingBlobIsRefused) {
  Export();
  const VerdictRow verdict = VerdictOf("reattest");
  for (const Sha256Digest& hash : {*verdict.evidence_hash, *verdict.log_hash}) {
    const Bytes whole = ReadFile(out_, BlobPath(hash), kEvidenceBlobMax).value();
    Edit(BlobPath(hash), [](std::string& text) { text.back() ^= 1; });
    EXPECT_EQ(Checked(), "evidence.blob");
    ASSERT_TRUE(out_.Remove(BlobPath(hash)).has_value());
    EXPECT_EQ(Checked(), "export.missing");
    ASSERT_TRUE(WriteFileAtomically(out_, BlobPath(hash), whole).has_value());
  }
  EXPECT_EQ(Checked(), "intact");
}

TEST_F(ExportFolderTest, WithAChangedOrMissingReferenceIsRefused) {
  Export();
  const std::string name = out_.List(std::string(kFolder) + "/references").value().at(0);
  const std::string path = std::string(kFolder) + "/references/" + name;
  Edit(path, [](std::string& text) { text += " "; });
  EXPECT_EQ(Checked(), "export.reference");
  ASSERT_TRUE(out_.Remove(path).has_value());
  EXPECT_EQ(Checked(), "export.missing");
}

TEST_F(ExportFolderTest, WithAChangedOrMissingVerdictIsRefused) {
  Export();
  const std::string path = VerdictPath(kFolder, VerdictOf("reattest").id);
  Edit(path, [](std::string& text) {
    text.replace(text.find("\"passed\":false"), 14, "\"passed\":true");
  });
  EXPECT_EQ(Checked(), "export.verdict");
  ASSERT_TRUE(out_.Remove(path).has_value());
  EXPECT_EQ(Checked(), "export.missing");
}

TEST_F(ExportFolderTest, SurvivesRetentionOfRecords) {
  Must([](Connection& c) -> Result<Unit> {
    SP_TRY(ForgetAuditRecords(c, 1));
    return Unit{};
  });
  Export();
  EXPECT_EQ(Checked(), "intact");
}

}  // namespace
}  // namespace sallyport::server
