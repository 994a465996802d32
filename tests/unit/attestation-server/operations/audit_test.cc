// The audit as operators read and check it.
#include "attestation-server/operations/audit.h"

#include "tests/unit/attestation-server/operations/operations_fixture.h"

namespace sallyport::server {
namespace {

class AuditOperationsTest : public OperationsTest {
 protected:
  AuditOperationsTest() {
    for (int64_t i = 1; i <= 5; ++i)
      SP_CHECK(Write([&](Transaction& t) -> Result<Unit> {
                 SP_TRY(t.Audit("tested", JsonValue::Object({{"i", i}})));
                 return Unit{};
               }).has_value());
  }
  std::vector<int64_t> Tail(uint64_t after, int64_t limit) {
    std::vector<int64_t> out;
    const JsonValue rows = TailAuditEntries(*database_, after, limit).value();
    for (const JsonValue& row : *rows.if_array()) out.push_back(*row.Find("seq")->if_integer());
    return out;
  }
  void Alter(const char* sql) {
    ASSERT_TRUE(Write([&](Transaction& t) -> Result<Unit> {
                  SP_TRY(t.connection().Execute(sql));
                  return Unit{};
                }).has_value());
  }
  std::string Checked() { return RuleOf(CheckAudit(*database_)); }
};

TEST_F(AuditOperationsTest, TailShowsTheLatestOrWhatFollows) {
  EXPECT_EQ(Tail(0, 2), (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(Tail(0, 100), (std::vector<int64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(Tail(3, 100), (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(Tail(3, 1), (std::vector<int64_t>{4}));
  EXPECT_TRUE(Tail(5, 100).empty());
}

TEST_F(AuditOperationsTest, ChainOfAllEntriesIsIntact) {
  const auto checked = CheckAudit(*database_);
  ASSERT_TRUE(checked.has_value()) << checked.error().ToString();
  EXPECT_EQ(*checked->Find("entries")->if_integer(), 5);
}

TEST_F(AuditOperationsTest, AlteredRecordIsNotTheOneCommittedTo) {
  Alter("UPDATE audit SET record = '{\"i\":9}' WHERE seq = 3");
  EXPECT_EQ(Checked(), "audit.commitment");
}

TEST_F(AuditOperationsTest, RenamedEventBreaksItsHash) {
  Alter("UPDATE audit SET event = 'nothing' WHERE seq = 2");
  EXPECT_EQ(Checked(), "audit.hash");
}

TEST_F(AuditOperationsTest, MissingEntryIsAGap) {
  Alter("DELETE FROM audit WHERE seq = 2");
  EXPECT_EQ(Checked(), "audit.sequence");
}

TEST_F(AuditOperationsTest, ForgottenRecordLeavesTheChainIntact) {
  Alter("UPDATE audit SET salt = NULL, record = NULL WHERE seq = 2");
  EXPECT_EQ(Checked(), "accepted");
}

}  // namespace
}  // namespace sallyport::server
