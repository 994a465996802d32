// What the service gives to an export, and what it refuses to look for.
#include "attestation-server/operations/audit_export.h"

#include "tests/fakes/memory_file_system.h"
#include "tests/unit/attestation-server/operations/operations_fixture.h"

namespace sallyport::server {
namespace {

class AuditExportTest : public OperationsTest {
 protected:
  Result<JsonValue> Ask(const ExportQuery& query) { return export_.Answer(query, now_); }
  std::string Refused(const ExportQuery& query) { return RuleOf(Ask(query)); }

  MemoryFileSystem files_;
  EvidenceBlobs blobs_{files_, "/evidence"};
  pki::PrivateKey key_ = *pki::PrivateKey::Generate(pki::KeyType::kEd25519);
  AuditExport export_{
      *database_, blobs_, CheckpointSigner::Make(key_).value(), {"edge.example", 2, "bundle"}};
};

TEST_F(AuditExportTest, ACheckpointIsOfTheNewestEntry) {
  ASSERT_TRUE(Write([](Transaction& t) -> Result<Unit> {
                SP_TRY(t.Audit("a", JsonValue::Object({})));
                SP_TRY(t.Audit("b", JsonValue::Object({})));
                return Unit{};
              }).has_value());
  const JsonValue answer = Ask({"checkpoint"}).value();
  const ExportHead head = ParseExportHead(JsonCursor(answer)).value();
  EXPECT_EQ(head.trust_bundle, "bundle");
  const Checkpoint checkpoint = VerifyCheckpoint(key_.public_key(), head.checkpoint).value();
  EXPECT_EQ(checkpoint.head.seq, 2u);
  EXPECT_EQ(checkpoint.incarnation, 2u);
}

TEST_F(AuditExportTest, PagesEndWhereTheyAreFull) {
  ASSERT_TRUE(Write([](Transaction& t) -> Result<Unit> {
                for (int i = 0; i < 60; ++i)
                  SP_TRY(t.Audit("a", JsonValue::Object({{"text", std::string(60'000, 'x')}})));
                return Unit{};
              }).has_value());
  const JsonValue first = Ask({"audit", "0"}).value();
  const size_t entries = ParsePage(WriteJson(first))->size();
  EXPECT_LT(entries, 60u);
  EXPECT_LT(WriteJson(first).size(), kExportFileMax);
  const JsonValue next = Ask({"audit", std::to_string(entries)}).value();
  EXPECT_EQ(ParsePage(WriteJson(next))->front().seq, entries + 1);
}

TEST_F(AuditExportTest, BlobsComeInPieces) {
  const Bytes blob(3'000'000, 'b');
  const std::string name = HexEncode(blobs_.Put(blob).value());
  Bytes all;
  while (all.size() < blob.size()) {
    const JsonValue piece = Ask({"blob", name, all.size()}).value();
    Append(all, Base64Decode(JsonCursor(piece).GetString("data").value()).value());
  }
  EXPECT_EQ(all, blob);
  EXPECT_EQ(Refused({"blob", name, blob.size()}), "export.key");
}

TEST_F(AuditExportTest, WhatIsNotThereIsNamed) {
  EXPECT_EQ(Refused({"secrets"}), "export.section");
  EXPECT_EQ(Refused({"audit", "x"}), "export.key");
  EXPECT_EQ(Refused({"verdict", "x"}), "export.unknown");
  EXPECT_EQ(Refused({"reference", "x"}), "export.key");
  EXPECT_EQ(Refused({"reference", HexEncode(HashOf(1))}), "export.unknown");
  EXPECT_EQ(Refused({"policy", "7"}), "export.unknown");
  EXPECT_EQ(Refused({"blob", "../x"}), "export.key");
  EXPECT_NE(Refused({"blob", HexEncode(HashOf(1))}), "accepted");
}

}  // namespace
}  // namespace sallyport::server
