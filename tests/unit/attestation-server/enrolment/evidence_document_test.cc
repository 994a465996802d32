// What is kept of a proof is enough to reach its verdict again, and nothing less is.
#include "attestation-server/enrolment/evidence_document.h"

#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {
namespace {

class EvidenceDocumentTest : public FlowTest {
 protected:
  VerdictRow Newest() {
    auto snapshot = database_->Read();
    return ListVerdicts(snapshot.value().connection(), IdOf(device_), 1).value().at(0);
  }
  std::string Document(const VerdictRow& row) {
    return ToString(blobs_.Get(*row.evidence_hash).value());
  }
  // Rejudge judges what `document` holds, with the log and the reference sets of the store.
  VerdictRow Rejudge(const std::string& document) {
    const StoredProof stored = ReadEvidenceDocument(document).value();
    const Bytes log = stored.sent_log() ? blobs_.Get(stored.log_hash).value() : Bytes();
    const Case proof = OpenStored(stored, log).value();
    auto snapshot = database_->Read();
    std::vector<JudgedReference> rows;
    for (const OpenReference& each : stored.references)
      rows.push_back(
          {References(snapshot.value().connection()).Find(each.id).value().value(), each.role});
    ReferenceReader reader(8);
    const OpenReferences open = reader.Open(rows, stored.ticket.bank).value();
    return RowOf(proof, JudgeCase(proof, stored.terms, open.candidates), open);
  }
  static void ExpectSame(const VerdictRow& again, const VerdictRow& then) {
    EXPECT_EQ(again.passed, then.passed);
    EXPECT_EQ(again.rule, then.rule);
    EXPECT_EQ(again.checks, then.checks);
    EXPECT_EQ(again.diff, then.diff);
    EXPECT_EQ(again.reference_set, then.reference_set);
    EXPECT_EQ(again.log_hash, then.log_hash);
    EXPECT_EQ(again.attested_at, then.attested_at);
    EXPECT_EQ(again.valid_until, then.valid_until);
  }

  FakeTpmDevice device_{vendor_};
};

TEST_F(EvidenceDocumentTest, AnEnrolmentIsJudgedTheSameAgain) {
  MustEnrol(device_);
  const VerdictRow then = Newest();
  EXPECT_TRUE(then.passed);
  ExpectSame(Rejudge(Document(then)), then);
}

TEST_F(EvidenceDocumentTest, FloorsAreJudgedTheSameAgainAndTheirAbsenceIsNothingNew) {
  device_.floors = {{5, 5, 5, 5, 5}, {6, 5, 5, 5, 5}};
  MustEnrol(device_);
  const VerdictRow then = Newest();
  const std::string document = Document(then);
  ExpectSame(Rejudge(document), then);
  EXPECT_EQ(ReadEvidenceDocument(document)->evidence.floors.size(), 6u);

  std::string forged = document;
  const size_t floors = forged.find("\"floors\":[{\"attest\":\"") + 40;
  forged[floors] = forged[floors] == '0' ? '1' : '0';
  EXPECT_EQ(Rejudge(forged).rule, "floors.signature");
  // A document of before the floors were certified has no such member.
  std::string older = document;
  const size_t begin = older.find("\"floors\":[");
  older.erase(begin, older.find("],", begin) + 2 - begin);
  EXPECT_TRUE(ReadEvidenceDocument(older)->evidence.floors.empty());
}

TEST_F(EvidenceDocumentTest, ANewBootIsJudgedAgainstTheClockOfTheLastOne) {
  MustEnrol(device_);
  device_.Boot("uki 1");
  now_ = now_ + Seconds(1);
  ASSERT_EQ(RuleOf(Reattest(device_, {.slot = "B", .epoch_held = 1})), "admitted");
  const VerdictRow then = Newest();
  ASSERT_EQ(then.purpose, "reattest");
  ExpectSame(Rejudge(Document(then)), then);
  EXPECT_TRUE(ReadEvidenceDocument(Document(then))->terms.last.has_value());
}

TEST_F(EvidenceDocumentTest, AFailureIsReachedAgainWithItsDifference) {
  MustEnrol(device_);
  device_.Boot("evil");
  now_ = now_ + Seconds(1);
  ASSERT_EQ(RuleOf(Reattest(device_)), "pcr.4");
  const VerdictRow then = Newest();
  ASSERT_FALSE(then.passed);
  ExpectSame(Rejudge(Document(then)), then);
}

TEST_F(EvidenceDocumentTest, ALogThatDoesNotParseIsKeptAndRefusedAgain) {
  MustEnrol(device_);
  device_.Boot("uki 1");
  now_ = now_ + Seconds(1);
  Bytes cut = device_.event_log();
  cut.pop_back();
  ASSERT_EQ(RuleOf(Reattest(device_, {.other_log = cut})), "log.structure");
  const VerdictRow then = Newest();
  ExpectSame(Rejudge(Document(then)), then);
}

TEST_F(EvidenceDocumentTest, NoLogIsRefusedAgain) {
  MustEnrol(device_);
  device_.Boot("uki 1");
  now_ = now_ + Seconds(1);
  ASSERT_EQ(RuleOf(Reattest(device_, {.send_log = false, .mention_log = false})), "log.present");
  const VerdictRow then = Newest();
  EXPECT_FALSE(ReadEvidenceDocument(Document(then))->sent_log());
  ExpectSame(Rejudge(Document(then)), then);
}

TEST_F(EvidenceDocumentTest, FilesThatRanAreJudgedTheSameAgain) {
  ima_ = true;
  Restart();
  ImportFiles({"init"});
  device_.MeasureFiles().File("/init", "init");
  MustEnrol(device_);
  const VerdictRow enrolled = Newest();
  ASSERT_TRUE(enrolled.passed);
  ExpectSame(Rejudge(Document(enrolled)), enrolled);

  device_.ima().File("/tmp/evil", "evil");
  now_ = now_ + Seconds(1);
  ASSERT_EQ(RuleOf(Renew(device_)), "ima.file");
  const VerdictRow failed = Newest();
  const StoredProof stored = ReadEvidenceDocument(Document(failed)).value();
  EXPECT_EQ(stored.terms.ima->entries, 2u);
  EXPECT_EQ(stored.evidence.ima->first, 2u);
  ExpectSame(Rejudge(Document(failed)), failed);
}

TEST_F(EvidenceDocumentTest, ARenewalKeepsNone) {
  MustEnrol(device_);
  now_ = now_ + Seconds(1);
  ASSERT_EQ(RuleOf(Renew(device_)), "admitted");
  EXPECT_FALSE(Newest().evidence_hash.has_value());
}

TEST_F(EvidenceDocumentTest, TheTokenIsNotInIt) {
  MustEnrol(device_);
  EXPECT_EQ(Document(Newest()).find(token_), std::string::npos);
}

TEST_F(EvidenceDocumentTest, TheAuditNamesDocumentAndVerdict) {
  MustEnrol(device_);
  const VerdictRow then = Newest();
  const JsonValue record = ParseJson(*Audit().back().record).value();
  EXPECT_EQ(JsonCursor(record).GetString("document").value(), HexEncode(*then.evidence_hash));
  EXPECT_EQ(JsonCursor(record).GetString("verdict_sha256").value(),
            HexEncode(pki::Sha256(AsBytes(WriteJson(VerdictJson(then))))));
}

// Whatever byte of a document is changed, the verdict is not silently another pass: it reads as
// malformed, it fails, or the change is of a thing that the verdict says nothing about.
TEST_F(EvidenceDocumentTest, AnotherNonceTimeSlotOrDeviceDoesNotPass) {
  MustEnrol(device_);
  const std::string document = Document(Newest());
  for (const std::string_view key :
       {"nonce", "ticket_id", "server_leaf_sha256", "ek_spki_sha256", "event_log_sha256"}) {
    std::string changed = document;
    const size_t at = changed.find("\"" + std::string(key) + "\":\"") + key.size() + 4;
    changed[at] = changed[at] == '0' ? '1' : '0';
    if (key == "event_log_sha256") {
      const StoredProof stored = ReadEvidenceDocument(changed).value();
      const Case proof = OpenStored(stored, blobs_.Get(*Newest().log_hash).value()).value();
      EXPECT_FALSE(JudgeCase(proof, stored.terms, {}).passing());
      continue;
    }
    const VerdictRow again = Rejudge(changed);
    EXPECT_FALSE(again.passed) << key;
    EXPECT_EQ(again.rule, "quote.extra-data") << key;
  }
}

TEST_F(EvidenceDocumentTest, ReadsNothingElse) {
  MustEnrol(device_);
  const std::string document = Document(Newest());
  for (size_t size = 0; size < document.size(); size += 7)
    EXPECT_FALSE(ReadEvidenceDocument(document.substr(0, size)).has_value());
  std::string other = document;
  other.replace(other.find("evidence/v2"), 11, "evidence/v9");
  EXPECT_EQ(ReadEvidenceDocument(other).error().rule, "evidence.document-version");
  other = document;
  other.insert(1, "\"aaa\":1,");
  EXPECT_EQ(ReadEvidenceDocument(other).error().rule, "json.unknown-key");
  other = document;
  other.replace(other.find("\"epoch_held\":\"0\""), 16, "\"epoch_held\":\"x\"");
  EXPECT_EQ(ReadEvidenceDocument(other).error().rule, "evidence.document");
}

TEST_F(EvidenceDocumentTest, AVerdictSurvivesItsJson) {
  MustEnrol(device_);
  const std::string text = WriteJson(VerdictJson(Newest()));
  const JsonValue json = ParseJson(text).value();
  EXPECT_EQ(WriteJson(VerdictJson(ParseVerdict(JsonCursor(json)).value())), text);
}

}  // namespace
}  // namespace sallyport::server
