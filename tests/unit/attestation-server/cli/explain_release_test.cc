#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestation-server/cli/reference_commands.h"

namespace sallyport::server {
namespace {

std::string Answer(const std::string& answer) {
  return R"({"device":"cam-1","answer":")" + answer +
         R"(","gates":[{"gate":"rollback","result":"fail","need":"index of at least 7","have":"index 6"}]})";
}

TEST(ExplainRelease, OnlyACertainYesIsAYes) {
  EXPECT_EQ(ReleaseAnswer(Answer("yes"), true).code, ExitCode::kYes);
  EXPECT_EQ(ReleaseAnswer(Answer("open"), true).code, ExitCode::kNo);
  EXPECT_EQ(ReleaseAnswer(Answer("no"), false).code, ExitCode::kNo);
}

TEST(ExplainRelease, PeopleReadEachGateWithNeedAndHave) {
  EXPECT_EQ(ReleaseAnswer(Answer("no"), false).out,
            "no\nfail  rollback: needs index of at least 7; has index 6\n");
  EXPECT_EQ(ReleaseAnswer(Answer("no"), true).out, Answer("no") + "\n");
}

TEST(ExplainRelease, TheLogOfAFailedBootIsShownWithoutWhatTerminalsObey) {
  const std::string json =
      R"({"answer":"no","gates":[{"gate":"trial","result":"fail","need":"no failed attempt",)"
      R"("have":"ROLLED_BACK at gate probes\u001b[2J"}],"log":"first\nsecond\u001b[31m\n"})";
  EXPECT_EQ(ReleaseAnswer(json, false).out,
            "no\nfail  trial: needs no failed attempt; has ROLLED_BACK at gate probes?[2J\n"
            "log of the boot that failed\n  first\n  second?[31m\n");
}

TEST(ExplainRelease, AnAnswerThatIsNoneIsAnError) {
  EXPECT_NE(ReleaseAnswer("{}", true).code, ExitCode::kYes);
  EXPECT_NE(ReleaseAnswer("nonsense", false).code, ExitCode::kYes);
}

}  // namespace
}  // namespace sallyport::server
