#include "device-client/update/health_gate.h"

#include <gtest/gtest.h>

#include "pki/base/file_system.h"

namespace sallyport::device {
namespace {

constexpr Duration kTimeout = Minutes(10);
constexpr Duration kEnds = Minutes(12);

HealthFacts AllPassed() {
  HealthFacts facts;
  facts.fill({HealthAnswer::kPassed, ""});
  return facts;
}

HealthVerdict Judge(const HealthFacts& facts, Duration now = Minutes(3)) {
  return JudgeHealth(facts, now, kEnds, kTimeout);
}

TEST(HealthGate, CommitsWhenEveryCheckHasPassed) {
  EXPECT_EQ(Judge(AllPassed()).step, HealthStep::kCommit);
}

TEST(HealthGate, WaitsForEachCheckByItsNameAndRollsBackWithItWhenTheTimeIsUp) {
  for (const HealthRow& row : kHealthRows) {
    HealthFacts facts = AllPassed();
    facts[static_cast<size_t>(row.check)] = {};
    const HealthVerdict waiting = Judge(facts, Duration{kEnds.ms - 1});
    EXPECT_EQ(waiting.step, HealthStep::kWait) << row.name;
    EXPECT_EQ(waiting.gate, row.name);
    EXPECT_EQ(waiting.detail, row.waiting_for);

    const HealthVerdict late = Judge(facts, kEnds);
    EXPECT_EQ(late.step, HealthStep::kRollBack) << row.name;
    EXPECT_EQ(late.gate, row.name);
    EXPECT_EQ(late.detail, std::string(row.waiting_for) + " (after 10m)");
  }
}

TEST(HealthGate, CommitsLocallyAtTheEndWhenOnlyTheServerIsMissingAndThePlanAllowsIt) {
  const auto judge = [](const HealthFacts& facts, Duration now) {
    return JudgeHealth(facts, now, kEnds, kTimeout, ota::LocalCommit::kAllowed).step;
  };
  HealthFacts alone = AllPassed();
  for (const HealthRow& row : kHealthRows)
    if (row.of_the_server) alone[static_cast<size_t>(row.check)] = {};
  EXPECT_EQ(judge(alone, Duration{kEnds.ms - 1}), HealthStep::kWait) << "the server may still come";
  EXPECT_EQ(judge(alone, kEnds), HealthStep::kCommitLocally);
  EXPECT_EQ(Judge(alone, kEnds).step, HealthStep::kRollBack) << "not without the plan's word";
  EXPECT_EQ(judge(AllPassed(), kEnds), HealthStep::kCommit);
  for (const HealthRow& row : kHealthRows) {
    if (row.of_the_server) continue;
    HealthFacts facts = alone;
    facts[static_cast<size_t>(row.check)] = {};
    EXPECT_EQ(judge(facts, kEnds), HealthStep::kRollBack) << row.name;
  }
  alone[static_cast<size_t>(HealthCheck::kAttestation)] = {HealthAnswer::kFailed, "refused"};
  EXPECT_EQ(judge(alone, kEnds), HealthStep::kRollBack) << "the server did say something";
}

TEST(HealthGate, OnlyAFinalFailureEndsATrialBeforeItsTime) {
  for (const HealthRow& row : kHealthRows) {
    HealthFacts facts = AllPassed();
    facts[static_cast<size_t>(row.check)] = {HealthAnswer::kFailed, "it broke"};
    const HealthVerdict verdict = Judge(facts);
    EXPECT_EQ(verdict.step, row.failing_is_final ? HealthStep::kRollBack : HealthStep::kWait)
        << row.name;
    EXPECT_EQ(verdict.detail, "it broke");
  }
}

TEST(HealthGate, AFinalFailureIsNamedBeforeWhatOnlyWaits) {
  HealthFacts facts;
  facts[static_cast<size_t>(HealthCheck::kAttestation)] = {HealthAnswer::kFailed, "refused"};
  EXPECT_EQ(Judge(facts).gate, "attestation");
}

// Every set of answers: a commit needs all of them, whatever the time.
TEST(HealthGate, NoSetOfAnswersButTheWholeOneCommits) {
  size_t commits = 0;
  for (int code = 0; code < 2187; ++code) {  // 3^7
    HealthFacts facts;
    bool whole = true;
    for (int check = 0, rest = code; check < 7; ++check, rest /= 3) {
      facts[static_cast<size_t>(check)].answer = static_cast<HealthAnswer>(rest % 3);
      whole = whole && rest % 3 == static_cast<int>(HealthAnswer::kPassed);
    }
    for (const Duration now : {Duration{0}, kEnds, Days(9)}) {
      const HealthVerdict verdict = Judge(facts, now);
      EXPECT_EQ(verdict.step == HealthStep::kCommit, whole) << code;
      EXPECT_EQ(verdict.gate.empty(), whole) << code;
      EXPECT_FALSE(now >= kEnds && verdict.step == HealthStep::kWait) << code;
    }
    commits += whole ? 1 : 0;
  }
  EXPECT_EQ(commits, 1u);
}

TEST(HealthGate, IsDocumented) {
  PosixFileSystem files;
  const Bytes page = *ReadFile(files, SALLYPORT_SOURCE_DIR "/docs/updates.md", 1 << 20);
  EXPECT_NE(AsText(page).find(DescribeHealthGate()), std::string_view::npos);
}

}  // namespace
}  // namespace sallyport::device
