#include "attestation-server/store/audit.h"

#include "attestation-server/store/limits.h"
#include "tests/unit/attestation-server/store/store_fixture.h"

namespace sallyport::server {
namespace {

class AuditTest : public StoreTest {
 protected:
  void AppendThree() {
    Open();
    for (int i = 0; i < 3; ++i)
      ASSERT_TRUE(Write([i](Transaction& t) -> Result<Unit> {
                    SP_TRY(t.Audit("device-enrolled", JsonValue::Object({{"n", i}})));
                    return Unit{};
                  }).has_value());
  }
  std::vector<AuditEntry> Entries() {
    auto snapshot = database_->Read();
    return ReadAudit(snapshot.value().connection(), 0, 100).value();
  }
  static std::string_view FirstRefusal(const std::vector<AuditEntry>& entries) {
    AuditVerifier verifier;
    for (const AuditEntry& entry : entries) {
      const Result<Unit> checked = verifier.Check(entry);
      if (!checked.has_value()) return checked.error().rule;
    }
    return "";
  }
};

TEST_F(AuditTest, ChainVerifiesAndContinuesAfterReopening) {
  AppendThree();
  AppendThree();

  EXPECT_EQ(FirstRefusal(Entries()), "");
  EXPECT_EQ(Entries().size(), 6u);
}

TEST_F(AuditTest, KnownAnswerOfTheFirstHash) {
  // Computed apart from this program, from the layout in audit.h.
  const Sha256Digest commitment = AuditCommitment(HashOf(1), "{}");
  EXPECT_EQ(HexEncode(commitment),
            "5ef179ff4a27db7045b2d744438932f9689ffaf482eeeb4b1a51740c7d909555");
  EXPECT_EQ(HexEncode(AuditHash(HashOf(0), 1, "e", HashOf(2))),
            "137983c240ec1e6648fc78f6b46b24ac96f00e464af7b3dc98e834f97e4528b9");
}

TEST_F(AuditTest, NamesAChangedRecord) {
  AppendThree();
  auto entries = Entries();
  entries[1].record = "{\"n\":7}";
  EXPECT_EQ(FirstRefusal(entries), "audit.commitment");
}

TEST_F(AuditTest, NamesAChangedEvent) {
  AppendThree();
  auto entries = Entries();
  entries[1].event = "device-retired";
  EXPECT_EQ(FirstRefusal(entries), "audit.hash");
}

TEST_F(AuditTest, NamesAMissingEntry) {
  AppendThree();
  auto entries = Entries();
  entries.erase(entries.begin() + 1);
  EXPECT_EQ(FirstRefusal(entries), "audit.sequence");
}

TEST_F(AuditTest, NamesAReplacedPast) {
  AppendThree();
  auto entries = Entries();
  entries[0].commitment = HashOf(9);
  entries[0].salt.reset();
  entries[0].record.reset();
  entries[0].hash = AuditHash(entries[0].prev_hash, 1, entries[0].event, entries[0].commitment);
  EXPECT_EQ(FirstRefusal(entries), "audit.chain");
}

TEST_F(AuditTest, NamesHalfOfARecord) {
  AppendThree();
  auto entries = Entries();
  entries[2].salt.reset();
  EXPECT_EQ(FirstRefusal(entries), "audit.commitment");
}

TEST_F(AuditTest, RetentionDeletesRecordsAndTheChainStillVerifies) {
  AppendThree();

  ASSERT_TRUE(Write([](Transaction& t) -> Result<Unit> {
                SP_TRY(const int64_t forgotten, ForgetAuditRecords(t.connection(), 2));
                EXPECT_EQ(forgotten, 2);
                return Unit{};
              }).has_value());

  const auto entries = Entries();
  EXPECT_FALSE(entries[0].record.has_value());
  EXPECT_TRUE(entries[2].record.has_value());
  EXPECT_EQ(FirstRefusal(entries), "");
}

TEST_F(AuditTest, SaltsOfEqualRecordsDiffer) {
  Open();
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(Write([](Transaction& t) -> Result<Unit> {
                  SP_TRY(t.Audit("e", JsonValue::Object({})));
                  return Unit{};
                }).has_value());
  const auto entries = Entries();
  EXPECT_NE(entries[0].commitment, entries[1].commitment);
}

TEST_F(AuditTest, OversizeRecordFailsTheWork) {
  Open();
  const Result<Unit> refused = Write([](Transaction& t) -> Result<Unit> {
    SP_TRY(t.Audit("e", JsonValue(std::string(kAuditRecordMax + 1, 'x'))));
    return Unit{};
  });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().rule, "audit.record-size");
}

}  // namespace
}  // namespace sallyport::server
