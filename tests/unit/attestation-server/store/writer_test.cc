#include "attestation-server/store/writer.h"

#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <latch>
#include <thread>

#include "attestation-server/store/issuance.h"
#include "attestation-server/store/limits.h"
#include "attestation-server/store/meta.h"
#include "tests/unit/attestation-server/store/store_fixture.h"

namespace sallyport::server {
namespace {

using WriterTest = StoreTest;

TicketId Ticket(uint8_t fill) {
  std::array<uint8_t, 16> bytes;
  bytes.fill(fill);
  return TicketId::FromArray(bytes);
}

Result<Unit> Spend(Transaction& transaction, uint8_t fill) {
  return SpendTicket(transaction.connection(), Ticket(fill), "device", "enrol", UnixTime{1});
}

int64_t Count(Database& database, std::string_view sql) {
  auto snapshot = database.Read();
  return snapshot.value().connection().QueryOne(sql, "i").value().value().Integer(0);
}

TEST_F(WriterTest, MakesWorkVisibleToReadersAfterTheAnswer) {
  Database& database = Open();

  ASSERT_TRUE(Write([](Transaction& t) { return Spend(t, 1); }).has_value());

  EXPECT_EQ(Count(database, "SELECT COUNT(*) FROM spent_tickets"), 1);
}

TEST_F(WriterTest, RefusedWorkUndoesItselfAndNotItsNeighbours) {
  Database& database = Open();
  std::latch started(1);
  std::latch release(1);
  database.writer().Submit(
      [&](Transaction&) {
        started.count_down();
        release.wait();
        return Ok();
      },
      [](const Result<Unit>&) {});
  started.wait();
  std::latch done(3);
  std::vector<Result<Unit>> results(3, Result<Unit>(Unit{}));
  for (uint8_t i = 0; i < 3; ++i)
    database.writer().Submit(
        [i](Transaction& t) -> Result<Unit> {
          SP_TRY(Spend(t, i));
          SP_TRY(t.Audit("ticket-spent", JsonValue::Object({{"n", static_cast<int>(i)}})));
          if (i == 1) return Error{Reason::kPolicyDenied, "no", "test.refused"};
          return Unit{};
        },
        [&, i](Result<Unit> result) {
          results[i] = std::move(result);
          done.count_down();
        });

  release.count_down();
  done.wait();

  EXPECT_TRUE(results[0].has_value());
  ASSERT_FALSE(results[1].has_value());
  EXPECT_EQ(results[1].error().rule, "test.refused");
  EXPECT_TRUE(results[2].has_value());
  EXPECT_EQ(Count(database, "SELECT COUNT(*) FROM spent_tickets"), 2);
  auto snapshot = database.Read();
  EXPECT_EQ(VerifyAudit(snapshot.value().connection()).value().seq, 2u);
}

TEST_F(WriterTest, RefusesTheSecondSpendingOfATicket) {
  Open();
  ASSERT_TRUE(Write([](Transaction& t) { return Spend(t, 1); }).has_value());

  const Result<Unit> second = Write([](Transaction& t) { return Spend(t, 1); });

  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().rule, "ticket.spent");
  EXPECT_EQ(second.error().reason, Reason::kReplayed);
}

TEST_F(WriterTest, OneOfManyConcurrentSpendersWins) {
  Open();
  std::atomic<int> winners = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      if (Write([](Transaction& t) { return Spend(t, 7); }).has_value()) ++winners;
    });
  threads.clear();

  EXPECT_EQ(winners, 1);
}

TEST_F(WriterTest, FullDiskIsACleanRefusalAndTheStoreGoesOn) {
  Database& database = Open();
  ASSERT_TRUE(Write([](Transaction& t) -> Result<Unit> {
                // SQLite raises the limit to the pages in use: what is there still fits, more does
                // not.
                SP_TRY(t.connection().QueryOne("PRAGMA max_page_count=1", "i"));
                return Unit{};
              }).has_value());
  const std::string big(200'000, 'x');

  const Result<Unit> refused = Write([&](Transaction& t) -> Result<Unit> {
    SP_TRY(Spend(t, 1));
    SP_TRY(t.Audit("before-full", JsonValue::Object({})));
    return PutSetting(t.connection(), "big", big);
  });

  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().reason, Reason::kNoSpace);
  EXPECT_EQ(Count(database, "SELECT COUNT(*) FROM spent_tickets"), 0);
  EXPECT_TRUE(Write([](Transaction& t) -> Result<Unit> {
                SP_TRY(Spend(t, 2));
                SP_TRY(t.Audit("after-full", JsonValue::Object({})));
                return Unit{};
              }).has_value());
  auto snapshot = database.Read();
  EXPECT_EQ(VerifyAudit(snapshot.value().connection()).value().seq, 1u);
}

TEST_F(WriterTest, AnswersQueueFullInsteadOfGrowing) {
  Database& database = Open();
  std::latch started(1);
  std::latch release(1);
  database.writer().Submit(
      [&](Transaction&) {
        started.count_down();
        release.wait();
        return Ok();
      },
      [](const Result<Unit>&) {});
  started.wait();
  std::atomic<int> refused = 0;

  for (size_t i = 0; i < kWriterQueueMax + 3; ++i)
    database.writer().Submit([](Transaction&) { return Ok(); },
                             [&](const Result<Unit>& result) {
                               if (!result.has_value() && result.error().rule == "store.queue-full")
                                 ++refused;
                             });
  release.count_down();
  database_.reset();

  EXPECT_EQ(refused, 3);
}

// The child writes tickets together with their audit entries until it is killed.
[[noreturn]] void WriteUntilKilled(const std::string& path, int ready) {
  FakeRandom random(99);
  auto database = Database::Open(path, random);
  for (int64_t i = 0;; ++i) {
    (void)(*database)->writer().Run([i](Transaction& t) -> Result<Unit> {
      std::array<uint8_t, 16> id{};
      std::memcpy(id.data(), &i, sizeof i);
      SP_TRY(SpendTicket(t.connection(), TicketId::FromArray(id), "device", "renew", UnixTime{i}));
      SP_TRY(t.Audit("ticket-spent", JsonValue::Object({{"n", i}})));
      return Unit{};
    });
    if (i == 20 && write(ready, "x", 1) != 1) _exit(2);
  }
}

TEST_F(WriterTest, KilledWhileWritingLeavesNothingHalfWritten) {
  for (int round = 0; round < 5; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0)
      WriteUntilKilled(directory_ + "/killed-" + std::to_string(round) + ".db", pipe_ends[1]);
    char byte;
    ASSERT_EQ(read(pipe_ends[0], &byte, 1), 1);
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    close(pipe_ends[0]);
    close(pipe_ends[1]);

    auto database =
        Database::Open(directory_ + "/killed-" + std::to_string(round) + ".db", random_);

    ASSERT_TRUE(database.has_value());
    auto snapshot = (*database)->Read();
    const AuditHead head = VerifyAudit(snapshot.value().connection()).value();
    EXPECT_GT(head.seq, 20u);
    EXPECT_EQ(snapshot.value()
                  .connection()
                  .QueryOne("SELECT COUNT(*) FROM spent_tickets", "i")
                  ->value()
                  .Integer(0),
              static_cast<int64_t>(head.seq));
  }
}

TEST_F(WriterTest, FinishesTheQueueBeforeItStops) {
  Database& database = Open();
  std::atomic<int> done = 0;
  for (uint8_t i = 0; i < 100; ++i)
    database.writer().Submit(
        [i](Transaction& t) { return Spend(t, i); },
        [&](const Result<Unit>& result) { done += result.has_value() ? 1 : 0; });

  database_.reset();

  EXPECT_EQ(done, 100);
}

}  // namespace
}  // namespace sallyport::server
