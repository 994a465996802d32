#include "attestation-server/evidence/secure_boot.h"

#include <gtest/gtest.h>

#include "tests/fakes/quoted_boot.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kX509Guid = "a159c0a5e494a74a87b5ab155c2bf072";
constexpr std::string_view kSha256Guid = "2616c4c14c509240aca941f936934328";

Bytes SignatureList(std::string_view type, const std::vector<Bytes>& entries) {
  ByteWriter out;
  const auto size = static_cast<uint32_t>(entries.empty() ? 0 : entries[0].size() + 16);
  out.Raw(HexDecode(type).value())
      .LittleU32(28 + size * static_cast<uint32_t>(entries.size()))
      .LittleU32(0)
      .LittleU32(size);
  for (const Bytes& entry : entries) out.Raw(Bytes(16, 0x77)).Raw(entry);
  return std::move(out).Take();
}
Bytes Certificate(uint8_t id) { return Bytes(100, id); }
Bytes Keys(std::initializer_list<uint8_t> ids) {
  Bytes out;
  for (const uint8_t id : ids) Append(out, SignatureList(kX509Guid, {Certificate(id)}));
  return out;
}
Bytes Hashes(std::initializer_list<uint8_t> ids) {
  std::vector<Bytes> entries;
  for (const uint8_t id : ids) entries.push_back(Bytes(32, id));
  return SignatureList(kSha256Guid, entries);
}
std::vector<SignatureId> Ids(const Bytes& lists) { return ParseSignatureLists(lists).value(); }

// The fixture is a device that booted with Secure Boot on, something db's certificate 3 signed.
class SecureBootTest : public testing::Test {
 protected:
  SecureBootTest() {
    expected_.pk = Ids(Keys({1}));
    expected_.kek = Ids(Keys({2}));
    expected_.db = Ids(Keys({3, 4}));
    expected_.dbx = Ids(Hashes({10, 11}));
  }
  EventLogBuilder Boot() const {
    EventLogBuilder log;
    log.Config(kGlobalVariableGuid, "SecureBoot", state_)
        .Config(kGlobalVariableGuid, "PK", pk_)
        .Config(kGlobalVariableGuid, "KEK", kek_)
        .Config(kImageSecurityGuid, "db", db_)
        .Config(kImageSecurityGuid, "dbx", dbx_);
    for (const auto& [guid, name, content] : more_) log.Config(guid, name, content);
    log.Separator(7);
    if (!authority_.empty())
      log.Variable(EventType::kVariableAuthority, kImageSecurityGuid, "db", authority_);
    return log;
  }
  QuotedBoot::Outcome Judge(const EventLogBuilder& log) {
    Expectation expectation{.label = "secure"};
    expectation.pcrs.emplace(7, expected_);
    return boot_.Judge(log, {{ReferenceRole::kCommitted, expectation}});
  }
  QuotedBoot::Outcome Judge() { return Judge(Boot()); }
  static Bytes Signed(uint8_t id) {
    Bytes out(16, 0x77);
    Append(out, Certificate(id));
    return out;
  }

  struct Variable {
    std::string_view guid, name;
    Bytes content;
  };
  QuotedBoot boot_;
  SecureBootExpected expected_;
  Bytes state_{1};
  Bytes pk_ = Keys({1}), kek_ = Keys({2}), db_ = Keys({3}), dbx_ = Hashes({10, 11, 12});
  Bytes authority_ = Signed(3);
  std::vector<Variable> more_;
};

TEST_F(SecureBootTest, PassesWithFewerKeysAndMoreRevocationsThanListed) {
  EXPECT_EQ(Judge().rule(), "");
}

TEST_F(SecureBootTest, RefusesADbxOlderThanRequired) {
  dbx_ = Hashes({10, 12});
  const auto outcome = Judge();
  EXPECT_EQ(outcome.rule(), "secure-boot.dbx");
  EXPECT_NE(outcome.detail().find("older than required"), std::string::npos);
  dbx_ = {};
  EXPECT_EQ(Judge().rule(), "secure-boot.dbx");
}

TEST_F(SecureBootTest, RefusesAnUnknownKeyInEachDatabase) {
  db_ = Keys({3, 5});
  EXPECT_EQ(Judge().rule(), "secure-boot.db");
  db_ = Keys({3});
  Append(db_, Hashes({99}));
  EXPECT_EQ(Judge().rule(), "secure-boot.db");
  db_ = Keys({3});
  kek_ = Keys({9});
  EXPECT_EQ(Judge().rule(), "secure-boot.kek");
  kek_ = Keys({2});
  pk_ = Keys({9});
  EXPECT_EQ(Judge().rule(), "secure-boot.pk");
}

TEST_F(SecureBootTest, RefusesDatabasesThatAreNoSignatureLists) {
  db_ = Bytes(60, 7);
  EXPECT_EQ(Judge().rule(), "secure-boot.db");
  db_ = Keys({3});
  dbx_ = Bytes(60, 7);
  EXPECT_EQ(Judge().rule(), "secure-boot.dbx");
}

TEST_F(SecureBootTest, RefusesSecureBootOff) {
  state_ = {0};
  authority_ = {};
  EXPECT_EQ(Judge().rule(), "secure-boot.off");
  state_ = {};
  EXPECT_EQ(Judge().rule(), "secure-boot.off");
}

TEST_F(SecureBootTest, RefusesAnAuthorityThatIsNoAllowedEntryOfDb) {
  authority_ = Signed(9);
  EXPECT_EQ(Judge().rule(), "secure-boot.authority");
  authority_ = Signed(4);  // allowed, and not in the measured db
  EXPECT_EQ(Judge().rule(), "secure-boot.authority");
}

TEST_F(SecureBootTest, RefusesABootThatOnlyAnotherVariableAuthorised) {
  authority_ = {};
  EventLogBuilder log = Boot();
  log.Variable(EventType::kVariableAuthority, "605dab50-e046-4300-abb6-3dd810dd8b23", "SbatLevel",
               AsBytes("sbat,1,2021030218"));
  expected_.events = {{std::nullopt,
                       HashWith(Bank::kSha256, EventLogBuilder::VariableData(
                                                   "605dab50-e046-4300-abb6-3dd810dd8b23",
                                                   "SbatLevel", AsBytes("sbat,1,2021030218"))),
                       "sbat"}};
  EXPECT_EQ(Judge(log).rule(), "secure-boot.authority");

  authority_ = Signed(3);
  log = Boot();
  log.Variable(EventType::kVariableAuthority, "605dab50-e046-4300-abb6-3dd810dd8b23", "SbatLevel",
               AsBytes("sbat,1,2021030218"));
  EXPECT_EQ(Judge(log).rule(), "");
}

TEST_F(SecureBootTest, RefusesUnlistedFurtherEventsAndDisabledDmaProtection) {
  EXPECT_EQ(Judge(Boot().Action(7, "DMA Protection Disabled")).rule(), "secure-boot.event");
  expected_.events = {{EventType::kEfiAction,
                       HashWith(Bank::kSha256, AsBytes("DMA Protection Disabled")), "accepted"}};
  EXPECT_EQ(Judge(Boot().Action(7, "DMA Protection Disabled")).rule(), "");

  more_ = {{kImageSecurityGuid, "dbt", Keys({8})}};
  EXPECT_EQ(Judge().rule(), "secure-boot.event");
}

TEST_F(SecureBootTest, RefusesAFaultOfTheGrammarFirst) {
  const auto outcome = Judge(Boot().Action(7, "UEFI Debug Mode"));
  EXPECT_EQ(outcome.rule(), "pcr.7");
  EXPECT_EQ(outcome.detail().substr(0, 13), "grammar.debug");
}

TEST_F(SecureBootTest, RefusesContentThatWasNotMeasured) {
  EventLogBuilder told = Boot();
  dbx_ = Hashes({10});
  const auto outcome = [&] {
    Expectation expectation{.label = "secure"};
    expectation.pcrs.emplace(7, expected_);
    return boot_.Judge(Boot().bytes(), told.bytes(), {{ReferenceRole::kCommitted, expectation}});
  }();
  EXPECT_EQ(outcome.rule(), "log.replay");
}

TEST(JudgeSecureBoot, PassesARealBootAndRefusesItUnderAnotherKey) {
  const Bytes bytes = VectorFile("ovmf/uki-sb-on-snakeoil/eventlog.bin");
  const ReplayedLog log = ReplayedLog::Make(bytes, QuotedBoot::kBank).value();
  const SecureBootContent& state = *log.grammar(7).secure_boot_state;
  SecureBootExpected expected{*state.pk, *state.kek, *state.db, *state.dbx, {}};
  EXPECT_FALSE(JudgeSecureBoot(7, expected, log).difference.has_value());

  expected.db = Ids(Keys({3}));
  EXPECT_EQ(JudgeSecureBoot(7, expected, log).rule, "secure-boot.db");
}

}  // namespace
}  // namespace sallyport::server
